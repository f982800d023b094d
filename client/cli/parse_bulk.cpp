// Options of submit that make many jobs of it.
#include "client/cli/bulk_source.h"
#include "client/cli/parser.h"

namespace zgrid::cli {

void Parser::bulk_options(CLI::App* app, SubmitCommand& submit) {
  Bulk& bulk = submit.bulk;
  CLI::Option* array = app->add_option_function<std::string>(
                              "--array",
                              [&bulk](const std::string& text) {
                                bulk.array = value_of("--array", parse_array(text));
                              },
                              "a job for each index: 1-100, or 1-100:2 for every second one")
                           ->type_name("A-B[:S]");
  CLI::Option* lines =
      app->add_option("--each-line", bulk.each_line,
                      "a job for each line, which is a text; - is stdin, empty lines are skipped")
          ->type_name("FILE")
          ->excludes(array);
  app->add_option("--each-json", bulk.each_json,
                  "a job for each line, which is a JSON document; - is stdin")
      ->type_name("FILE")
      ->excludes(array)
      ->excludes(lines);
  add_filled(app, "--out", bulk.out, "of many: write INDEX.out and INDEX.json into this folder")
      ->type_name("DIR");
  app->add_option_function<std::string>(
         "--max-fails",
         [&bulk](const std::string& text) {
           bulk.max_fails = number("--max-fails", text, UINT64_MAX);
         },
         "of many: cancel the rest once more than so many failed")
      ->type_name("N");
  app->add_flag("--progress", bulk.progress, "of many: show on stderr how far they are");
  app->add_option_function<std::string>(
         "--rerun",
         [&submit](const std::string& text) {
           if (text != "failed") reject("--rerun", text, "'failed'");
           submit.rerun_failed = true;
         },
         "failed: of a --key, run again what did not succeed")
      ->type_name("WHICH");
}

void Parser::input_options(CLI::App* app, SubmitCommand& submit) {
  CLI::Option* text =
      app->add_option("--text", submit.text, "input {\"text\": …}; @FILE, - (stdin), @@ is @");
  app->add_option("--input", submit.input, "input as JSON; @FILE, - (stdin)")
      ->type_name("JSON")
      ->excludes(text);
}

}  // namespace zgrid::cli
