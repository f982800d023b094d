// What scripts and people see: documents, bare outputs, exit codes, tables.
#include <gtest/gtest.h>

#include "client/cli/documents.h"
#include "client/cli/input.h"
#include "client/cli/text.h"

namespace zgrid::cli {
namespace {

template <class I>
I id_of(std::string_view text) {
  return I::parse(text).value();
}

JobResult sample() {
  JobResult result;
  result.entry.job = id_of<JobId>("01890a5d-ac96-774b-bcce-b302099a8057");
  result.entry.attempt = 2;
  result.entry.outcome.run = Micros{1'500'400};
  result.entry.outcome.usage.input_tokens = 3;
  result.entry.output = {PayloadTag::json, Bytes::copy_of(R"({"text":"hi"})")};
  result.entry.submitted = {1'700'000'000'000'000};
  result.entry.started = {1'700'000'000'250'000};
  result.entry.finished = {1'700'000'001'750'400};
  result.head = {JobKind::workflow, "hash", "nightly"};
  WorkerFacts facts;
  facts.id = id_of<WorkerId>("6fe1fa6f-3505-a86e-1fa0-a5ad079f572f");
  facts.name = "gpu1";
  facts.host = "gpu1.lan";
  facts.os = "Linux";
  facts.os_version = "debian 12";
  facts.arch = "x86_64";
  facts.version = "0.1.0";
  result.worker = std::make_shared<const WorkerFacts>(facts);
  return result;
}

TEST(DocumentTest, AResultHasEveryFieldOfTheContractInItsOrder) {
  EXPECT_EQ(
      result_document(sample()).dump(),
      R"({"schema":"zgrid/1","job":"01890a5d-ac96-774b-bcce-b302099a8057","name":"hash",)"
      R"("run":"nightly","index":null,"kind":"workflow","status":"succeeded","attempt":2,)"
      R"("worker":{"id":"6fe1fa6f-3505-a86e-1fa0-a5ad079f572f","name":"gpu1","host":"gpu1.lan",)"
      R"("os":"Linux","os_version":"debian 12","arch":"x86_64","version":"0.1.0"},)"
      R"("event":{"type":"StopEvent","data":{"text":"hi"}},"output":"hi","error":null,)"
      R"("usage":{"input_tokens":3,"output_tokens":0,"cost_usd":null,"estimated":false},)"
      R"("times":{"submitted":"2023-11-14T22:13:20.000000Z",)"
      R"("started":"2023-11-14T22:13:20.250000Z","finished":"2023-11-14T22:13:21.750400Z",)"
      R"("queued_ms":250,"run_ms":1500},"retry_of":null,"trace":null})");
}

TEST(DocumentTest, AFailureSaysWhatIsKnownAndHasNoOutput) {
  JobResult result = sample();
  result.worker = nullptr;
  result.entry.started = {};
  result.entry.output = {};
  result.entry.outcome.status = JobStatus::failed;
  JobError error;
  error.kind = JobErrorKind::workflow;
  error.message = "step 's' ended with exit code 7";
  error.step = "s";
  error.exit_code = 7;
  error.stderr_tail = "a\xff";
  result.entry.outcome.error = error;
  const Json document = result_document(result);
  EXPECT_TRUE(document.find("worker")->is_null());
  EXPECT_TRUE(document.find("event")->is_null());
  EXPECT_TRUE(document.find("output")->is_null());
  EXPECT_EQ(document.find("error")->dump(),
            R"({"kind":"workflow","message":"step 's' ended with exit code 7","retryable":false,)"
            R"("took_effect":true,"step":"s","exit_code":7,"stderr_tail":{"$base64":"Yf8="}})");
  EXPECT_EQ(document.find("times")->find("queued_ms")->dump(), "null");
  EXPECT_EQ(document.find("times")->find("run_ms")->dump(), "null");
}

TEST(DocumentTest, ListsHaveTheFieldsOfTheContract) {
  protocol::JobSummary job;
  job.job = sample().entry.job;
  job.head = sample().head;
  EXPECT_EQ(jobs_document({job}).dump(),
            R"({"schema":"zgrid/1","jobs":[{"job":"01890a5d-ac96-774b-bcce-b302099a8057",)"
            R"("name":"hash","run":"nightly","index":null,"kind":"workflow","status":"queued",)"
            R"("attempt":0,"worker":null,"times":{"submitted":null,"started":null,)"
            R"("finished":null,"queued_ms":null,"run_ms":null},"reason":null,"wedged":false,)"
            R"("idle_ms":null}]})");
  protocol::WorkerView worker;
  worker.facts = *sample().worker;
  worker.online = true;
  worker.slots = worker.free = 2;
  worker.load_permille = 250;
  worker.tags = {{"gpu", "yes"}};
  worker.services = {"hash"};
  EXPECT_EQ(workers_document({worker}).dump(),
            R"({"schema":"zgrid/1","workers":[{"id":"6fe1fa6f-3505-a86e-1fa0-a5ad079f572f",)"
            R"("name":"gpu1","host":"gpu1.lan","os":"Linux","arch":"x86_64","version":"0.1.0",)"
            R"("online":true,"draining":false,"slots":2,"free":2,"tags":{"gpu":"yes"},)"
            R"("services":["hash"],"wedged":0,"load":0.25}]})");
  EXPECT_EQ(error_document({Errc::no_broker, "nobody", "", Effect::none, 0}).dump(),
            R"({"error":{"code":"no_broker","message":"nobody","hint":null}})");
}

TEST(DocumentTest, AWedgedJobSaysSinceWhenAndADeadOneWhy) {
  protocol::JobSummary job;
  job.status = JobStatus::running;
  job.wedged = true;
  job.idle = Millis{75'000};
  const Json wedged = jobs_document({job});
  const Json& first = wedged.find("jobs")->as_array()->front();
  EXPECT_EQ(first.find("wedged")->dump() + first.find("idle_ms")->dump(), "true75000");
  job = {};
  job.status = JobStatus::dead_letter;
  job.reason = "lost its worker 3 times";
  const Json dead = jobs_document({job});
  EXPECT_EQ(dead.find("jobs")->as_array()->front().find("reason")->dump(),
            R"("lost its worker 3 times")");
}

TEST(DocumentTest, TheStatusTellsWhyNothingIsAcceptedAndWhatIsKept) {
  protocol::StatusView view;
  view.admitting = false;
  view.refusing_reason = "the disk is full";
  view.queued_bytes = 1;
  view.retained_jobs = 2;
  view.retained_bytes = 3;
  view.remembered = 4;
  const Json document = status_document(view);
  EXPECT_EQ(document.find("broker")->find("refusing_reason")->dump(), R"("the disk is full")");
  EXPECT_EQ(document.find("store")->dump(),
            R"({"queued_bytes":1,"retained_jobs":2,"retained_bytes":3,"remembered":4})");
}

TEST(DocumentTest, TheIdsOfRetriesNameTheJobsThatTheyRepeat) {
  const JobId old = id_of<JobId>("01890a5d-ac96-774b-bcce-b302099a8057");
  const JobId fresh = id_of<JobId>("01890a5d-ac96-774b-bcce-b302099a8058");
  EXPECT_EQ(states_document({{fresh, JobStatus::queued, old}, {old, JobStatus::failed}}).dump(),
            R"({"schema":"zgrid/1","jobs":[{"job":"01890a5d-ac96-774b-bcce-b302099a8058",)"
            R"("status":"queued","retry_of":"01890a5d-ac96-774b-bcce-b302099a8057"},)"
            R"({"job":"01890a5d-ac96-774b-bcce-b302099a8057","status":"failed"}]})");
}

TEST(OutputTest, TextAloneIsPrintedByteForByteAndOtherDataAsItCame) {
  struct Row {
    PayloadTag tag;
    std::string_view data, bare;
  };
  const std::vector<Row> rows{
      {PayloadTag::json, R"({"text":"a\nb"})", "a\nb"},
      {PayloadTag::json, R"({"text":""})", ""},
      {PayloadTag::json, R"({"text":{"$base64":"Yf8="}})", "a\xff"},
      {PayloadTag::json, R"({"$base64":"Yf8="})", "a\xff"},
      {PayloadTag::json, R"({"text":"a","n":1})", R"({"text":"a","n":1})"},
      {PayloadTag::json, R"({"text": 1.0})", R"({"text": 1.0})"},
      {PayloadTag::json, "[1, 2]", "[1, 2]"},
      {PayloadTag::utf8, "plain", "plain"},
      {PayloadTag::bytes, "\xff", "\xff"},
  };
  for (const Row& row : rows) {
    EXPECT_EQ(bare_output({row.tag, Bytes::copy_of(row.data)}), row.bare) << row.data;
  }
}

TEST(OutputTest, WhatIsNotUtf8GoesThroughAJobUnchanged) {
  const std::string bytes("\x00\xff\xfe text", 8);
  EXPECT_EQ(bare_output(text_payload(bytes)), bytes);
  EXPECT_EQ(text_payload("plain").data.view(), R"({"text":"plain"})");
}

TEST(InputTest, ADoubledAtIsALiteralOneAndAMissingFileIsNotFound) {
  EXPECT_EQ(read_argument("@@home").value(), "@home");
  EXPECT_EQ(read_argument("plain").value(), "plain");
  const auto missing = read_argument("@/no/such/file");
  ASSERT_FALSE(missing);
  EXPECT_EQ(exit_code(missing.error().code), 66);
}

TEST(InputTest, APromptBecomesAServiceWithProviderAndModel) {
  SubmitCommand command;
  command.kind = JobKind::prompt;
  command.subject = "why?";
  EXPECT_EQ(prepare_job(command)->spec->job.service, "zgrid.prompt");
  command.provider = "local";
  command.model = "llama3.2";
  const auto job = prepare_job(command);
  ASSERT_TRUE(job);
  EXPECT_EQ(job->spec->job.service, "zgrid.prompt@local/llama3.2");
  EXPECT_EQ(job->input.data.view(), R"({"text":"why?"})");
}

TEST(InputTest, AnInputThatIsNoJsonIsBadInput) {
  SubmitCommand command;
  command.subject = "w";
  EXPECT_EQ(prepare_job(command)->input.data.view(), "{}");
  command.input = "{nope";
  const auto job = prepare_job(command);
  ASSERT_FALSE(job);
  EXPECT_EQ(exit_code(job.error().code), 65);
}

TEST(ExitTest, OfSeveralJobsTheWorstDecides) {
  EXPECT_EQ(fold_exits({}), 0);
  EXPECT_EQ(fold_exits({0, 0}), 0);
  EXPECT_EQ(fold_exits({0, 3, 0}), 3);
  EXPECT_EQ(fold_exits({3, 1, 0}), 1);
  EXPECT_EQ(fold_exits({1, 3, 4}), 4);
  EXPECT_EQ(exit_of(JobStatus::timed_out), 1);
  EXPECT_EQ(exit_of(JobStatus::aborted), 3);
  EXPECT_EQ(exit_of(JobStatus::dead_letter), 4);
  EXPECT_EQ(exit_of(JobStatus::running), 75);
}

TEST(TextTest, ControlCharactersDoNotReachATerminal) {
  EXPECT_EQ(neutralise("a\x1b[31mb\tc\n"), "a^[[31mb\tc\n");
  EXPECT_EQ(neutralise("a\rb\x7f"), "a^Mb^?");
  EXPECT_EQ(neutralise("\xc2\x9b"
                       "31m"),
            "^[[31m");
  EXPECT_EQ(neutralise("a\xffz"), "a\xef\xbf\xbdz");
  EXPECT_EQ(neutralise("\xe2\x80\xae"
                       "abc"),
            "\xef\xbf\xbd"
            "abc");
  EXPECT_EQ(neutralise("grün 日本"), "grün 日本");
}

TEST(TextTest, TablesAlignWhateverTheScript) {
  EXPECT_EQ(display_width("grün"), 4u);
  EXPECT_EQ(display_width("日本"), 4u);
  EXPECT_EQ(display_width("e\xcc\x81"), 1u);
  EXPECT_EQ(table({{{"A"}, {"B"}}, {{"日本"}, {"x"}}, {{"y"}, {""}}}, false),
            "A     B\n日本  x\ny\n");
  EXPECT_EQ(table({{{"A", Paint::red}, {"B"}}}, true), "\x1b[31mA\x1b[0m  B\n");
}

TEST(TextTest, IdsAreShownByTheirTail) {
  EXPECT_EQ(short_id("01890a5d-ac96-774b-bcce-b302099a8057"), "b302099a8057");
}

}  // namespace
}  // namespace zgrid::cli
