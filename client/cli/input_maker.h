// From what a command says and the item of one job to that job's input.
//
// Templates, the same as in a worker's workflow file, may stand in the texts of a bulk, and in a
// prompt that has --text or --input: {{data…}} is the line or document, {{job.index}} and
// {{job.run}} say which job it is. With --text or --input, their rendered form is the data of a
// prompt's template.
// Threads: one thread.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "client/cli/bulk_source.h"
#include "worker/workflow/template.h"

namespace zgrid::cli {

class InputMaker {
 public:
  // Reads @files and stdin. Errc::bad_input for a template or an --input that cannot be right.
  static Result<InputMaker> open(const SubmitCommand& command);

  // Errc::bad_input if a path is missing or no object comes out, Errc::too_large.
  [[nodiscard]] Result<Payload> make(const Item& item) const;
  // False if every item would give the same.
  [[nodiscard]] bool uses_item() const { return uses_item_; }

 private:
  InputMaker() = default;
  Result<void> read_text(const std::string& argument);
  Result<void> read_input(const std::string& argument);
  Result<void> read_prompt(const SubmitCommand& command);
  Result<worker::Template> parse(const std::string& option, const std::string& text);
  Result<void> parse_strings(const Json& value);
  [[nodiscard]] Result<Json> filled(const Json& value, const worker::TemplateScope& scope,
                                    size_t& next) const;
  [[nodiscard]] Result<Json> rendered_data(const Item& item, const Json& job) const;
  [[nodiscard]] Result<Payload> prompt_payload(const Json& data, const Json& job) const;

  bool is_bulk_ = false, is_prompt_ = false;
  bool uses_item_ = false;
  std::string run_;
  // One of these two, or neither, makes the data; without templates it is always the same.
  std::optional<worker::Template> text_;
  std::optional<Json> input_;
  std::vector<worker::Template> input_texts_;  // of its strings, in order
  std::optional<Json> fixed_;
  std::string fixed_raw_;  // its bytes as they came
  std::optional<worker::Template> prompt_;
  std::string fixed_prompt_;
};

}  // namespace zgrid::cli
