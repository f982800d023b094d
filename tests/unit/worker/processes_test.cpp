#include "worker/executors/processes.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <algorithm>

#include "loop_for_tests.h"
#include "temp_folder.h"

namespace zgrid::worker {
namespace {

struct Seen : ProcessListener {
  struct One {
    std::string out;
    std::vector<std::string> lines;
    size_t line_count = 0;
    std::optional<ProcessEnd> end;
  };
  std::map<ProcessId, One> all;
  size_t ended = 0;

  void on_stdout(ProcessId id, std::string_view piece) override { all[id].out += piece; }
  void on_stderr_line(ProcessId id, std::string_view line) override {
    One& one = all[id];
    ++one.line_count;
    if (one.lines.size() < 10) one.lines.emplace_back(line);
  }
  void on_end(ProcessId id, const ProcessEnd& end) override {
    EXPECT_FALSE(all[id].end.has_value()) << "ended twice";
    all[id].end = end;
    ++ended;
  }
};

bool is_alive(pid_t pid) {
  ProcStat stat;
  return pid > 0 && read_proc_stat(pid, stat) && stat.state != 'Z';
}

class ProcessesTest : public ::testing::Test {
 protected:
  void open(Processes::Options options = {}) {
    auto opened = Processes::open(options, seen_);
    ASSERT_TRUE(opened.has_value()) << opened.error().message;
    processes_ = std::move(*opened);
  }

  Result<ProcessId> start(std::vector<std::string> argv, std::string_view input = {}) {
    SpawnRequest request;
    const auto program = find_program(argv[0], "/usr/bin:/bin", folder_.path());
    if (!program) return fail(program.error());
    request.program = *program;
    request.argv = std::move(argv);
    request.environment = {"PATH=/usr/bin:/bin", "MARK=" + folder_.path()};
    request.directory = folder_.path();
    request.input = input;
    return processes_->start(request, "MARK=" + folder_.path(), now_for_tests());
  }

  ProcessId start_shell(const std::string& script, std::string_view input = {}) {
    const auto id = start({"sh", "-c", script}, input);
    EXPECT_TRUE(id.has_value()) << id.error().message;
    return id.value_or(ProcessId::none);
  }

  Seen::One& wait(ProcessId id) {
    EXPECT_TRUE(run_until(*processes_, [&] { return seen_.all[id].end.has_value(); }));
    if (!seen_.all[id].end) seen_.all[id].end.emplace();
    return seen_.all[id];
  }

  Seen::One& run_shell(const std::string& script, std::string_view input = {}) {
    return wait(start_shell(script, input));
  }

  pid_t pid_in(const std::string& name) {
    EXPECT_TRUE(run_until(*processes_, [&] {
      const std::string text = folder_.read(name);
      return !text.empty() && text.back() == '\n';
    }));
    return std::atoi(folder_.read(name).c_str());
  }

  TempFolder folder_;
  Seen seen_;
  std::unique_ptr<Processes> processes_;
};

TEST_F(ProcessesTest, gives_back_what_a_program_writes) {
  open();
  const Seen::One& one = wait(*start({"cat"}, "hello"));
  EXPECT_EQ(one.out, "hello");
  EXPECT_EQ(one.end->exit_code, 0);
  EXPECT_TRUE(one.lines.empty());
  EXPECT_EQ(processes_->count(), 0u);
  EXPECT_EQ(processes_->deadline(), MonoTime::never());
}

TEST_F(ProcessesTest, large_input_arrives_whole) {
  open();
  std::string input(10u << 20, 'x');
  input += "end";
  const Seen::One& one = wait(*start({"tail", "-c", "5"}, input));
  EXPECT_EQ(one.out, "xxend");
}

TEST_F(ProcessesTest, a_program_that_reads_no_stdin_is_no_error) {
  open();
  for (const size_t size : {size_t{10}, size_t{5000}, size_t{10} << 20}) {
    const Seen::One& one = wait(*start({"true"}, std::string(size, 'x')));
    EXPECT_EQ(one.end->exit_code, 0) << size;
  }
}

TEST_F(ProcessesTest, exit_codes_and_signals_are_told) {
  open();
  EXPECT_EQ(run_shell("exit 7").end->exit_code, 7);
  EXPECT_EQ(run_shell("kill -SEGV $$").end->exit_code, 128 + SIGSEGV);
}

TEST_F(ProcessesTest, stderr_comes_in_lines_and_its_tail_is_kept) {
  open();
  const Seen::One& one = run_shell("echo one >&2; echo two >&2; printf three >&2; exit 1");
  EXPECT_EQ(one.lines, (std::vector<std::string>{"one", "two", "three"}));
  EXPECT_EQ(one.end->stderr_tail, "one\ntwo\nthree");
}

TEST_F(ProcessesTest, a_long_line_of_stderr_is_told_in_parts) {
  open();
  const Seen::One& one = run_shell("head -c 10000 /dev/zero | tr '\\0' x >&2; echo >&2");
  ASSERT_EQ(one.lines.size(), 3u);
  EXPECT_EQ(one.lines[0].size(), Processes::kLogLineBytesMax);
  EXPECT_EQ(one.lines[0].size() + one.lines[1].size() + one.lines[2].size(), 10000u);
  EXPECT_EQ(one.end->stderr_tail.size(), 4096u);
}

TEST_F(ProcessesTest, endless_stderr_is_drained) {
  open();
  const Seen::One& one =
      run_shell("yes 'a line of some forty characters, or so' | head -c 104857600 >&2");
  EXPECT_EQ(one.end->exit_code, 0);
  EXPECT_GT(one.line_count, 2'000'000u);
  EXPECT_EQ(one.end->stderr_tail.size(), 4096u);
}

TEST_F(ProcessesTest, too_much_output_kills_the_group) {
  Processes::Options options;
  options.output_bytes_max = 100'000;
  open(options);
  const Seen::One& one = run_shell("yes & echo $! > pid; wait");
  EXPECT_TRUE(one.end->output_too_large);
  EXPECT_EQ(one.end->exit_code, 128 + SIGKILL);
  EXPECT_LE(one.out.size(), options.output_bytes_max);
  EXPECT_FALSE(is_alive(pid_in("pid")));
}

TEST_F(ProcessesTest, output_of_exactly_the_limit_is_fine) {
  Processes::Options options;
  options.output_bytes_max = 100'000;
  open(options);
  const Seen::One& one = run_shell("head -c 100000 /dev/zero");
  EXPECT_FALSE(one.end->output_too_large);
  EXPECT_EQ(one.end->exit_code, 0);
  EXPECT_EQ(one.out.size(), 100'000u);
}

TEST_F(ProcessesTest, terminate_asks_first) {
  open();
  const ProcessId id = start_shell(
      "trap 'echo bye; exit 3' TERM; echo $$ > pid; while :; do sleep inf & wait; done");
  pid_in("pid");
  processes_->terminate(id, now_for_tests());
  const Seen::One& one = wait(id);
  EXPECT_EQ(one.out, "bye\n");
  EXPECT_EQ(one.end->exit_code, 3);
}

TEST_F(ProcessesTest, a_program_that_ignores_term_is_killed_after_the_grace) {
  Processes::Options options;
  options.kill_grace = Millis{100};
  open(options);
  const ProcessId id = start_shell(
      "trap '' TERM; sleep infinity & echo $! > child; echo $$ > pid; wait; wait; wait");
  const pid_t pid = pid_in("pid");
  const pid_t child = pid_in("child");
  const Now before = now_for_tests();
  processes_->terminate(id, before);
  const Seen::One& one = wait(id);
  EXPECT_EQ(one.end->exit_code, 128 + SIGKILL);
  EXPECT_GE(now_for_tests().mono - before.mono, Millis{100});
  EXPECT_FALSE(is_alive(pid));
  EXPECT_FALSE(is_alive(child));
}

TEST_F(ProcessesTest, a_stopped_program_can_be_terminated) {
  open();
  const ProcessId id = start_shell("echo $$ > pid; kill -STOP $$");
  const pid_t pid = pid_in("pid");
  ASSERT_TRUE(run_until(*processes_, [&] {
    ProcStat stat;
    return read_proc_stat(pid, stat) && stat.state == 'T';
  }));
  processes_->terminate(id, now_for_tests());
  EXPECT_EQ(wait(id).end->exit_code, 128 + SIGTERM);
}

TEST_F(ProcessesTest, what_a_program_leaves_in_the_background_dies_with_it) {
  open();
  const Seen::One& one = run_shell("sleep infinity & echo $! > child; echo done");
  EXPECT_EQ(one.out, "done\n");  // although the child holds the pipe open
  EXPECT_EQ(one.end->exit_code, 0);
  EXPECT_FALSE(is_alive(pid_in("child")));
}

TEST_F(ProcessesTest, a_descendant_that_left_the_group_is_found_and_killed) {
  open();
  run_shell(
      "setsid sh -c 'echo $$ > child; exec sleep infinity' & while [ ! -s child ]; do :; done");
  EXPECT_FALSE(is_alive(pid_in("child")));
}

TEST_F(ProcessesTest, a_descendant_that_also_hid_its_environment_is_found_when_all_is_quiet) {
  open();
  run_shell(
      "env -i setsid sh -c 'echo $$ > child; exec sleep infinity' & while [ ! -s child ]; do :; "
      "done");
  EXPECT_FALSE(is_alive(pid_in("child")));
}

TEST_F(ProcessesTest, a_whole_tree_of_escaped_descendants_is_killed) {
  open();
  run_shell(
      "setsid sh -c 'setsid sh -c \"echo \\$\\$ > deep; exec sleep infinity\" & wait' & "
      "while [ ! -s deep ]; do :; done");
  EXPECT_FALSE(is_alive(pid_in("deep")));
}

TEST_F(ProcessesTest, the_descendants_of_another_program_are_left_alone) {
  open();
  const ProcessId other = start_shell(
      "setsid sh -c 'echo $$ > child; exec sleep infinity' & while [ ! -s child ]; do :; done; "
      "while [ ! -e go ]; do :; done");
  const pid_t child = pid_in("child");
  run_shell("true");
  EXPECT_TRUE(is_alive(child));
  folder_.write("go", "");
  wait(other);
  EXPECT_FALSE(is_alive(child));
}

TEST_F(ProcessesTest, no_zombie_is_left_behind) {
  open();
  for (int i = 0; i < 20; ++i) run_shell("true & setsid true & (setsid true &) ; wait");
  ASSERT_TRUE(run_until(*processes_, [&] {
    static_cast<void>(processes_->usage(now_for_tests()));
    Children children;
    return children.list().size() <= 1;  // the guardian
  }));
}

TEST_F(ProcessesTest, the_child_is_clean) {
  const int leak = ::open("/dev/null", O_RDONLY);  // not close-on-exec, as of a careless library
  struct sigaction ignore {};
  struct sigaction before {};
  ignore.sa_handler = SIG_IGN;
  ::sigaction(SIGPIPE, &ignore, &before);
  open();
  const Seen::One one = run_shell(
      "ls /proc/self/fd | tr '\\n' ' '; grep -E '^Sig(Blk|Ign):' /proc/self/status; ulimit -c; "
      "env | grep -v -E '^(PWD|SHLVL|_|OLDPWD)=' | sort | cut -d= -f1 | tr '\\n' ' '; pwd");
  ::sigaction(SIGPIPE, &before, nullptr);
  ::close(leak);
  // 3 is the folder that ls reads.
  EXPECT_EQ(one.out, "0 1 2 3 SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n0\nMARK PATH " +
                         folder_.path() + "\n");
}

TEST_F(ProcessesTest, a_program_leads_its_own_group) {
  open();
  const Seen::One& one = run_shell("cut -d ' ' -f 1,5 /proc/$$/stat");
  std::string pid = one.out.substr(0, one.out.find(' '));
  EXPECT_EQ(one.out, pid + " " + pid + "\n");
}

TEST_F(ProcessesTest, a_missing_program_is_named) {
  open();
  const auto missing = start({"no-such-program"});
  ASSERT_FALSE(missing.has_value());
  EXPECT_EQ(missing.error().code, Errc::not_found);
  EXPECT_EQ(missing.error().message,
            "cannot run 'no-such-program': not found in the worker's PATH");
  folder_.write("plain", "text");
  const auto plain = start({"./plain"});
  ASSERT_FALSE(plain.has_value());
  EXPECT_EQ(plain.error().code, Errc::forbidden);
}

TEST_F(ProcessesTest, what_only_exec_can_tell_is_told) {
  open();
  const std::string path = folder_.write("script", "#!/no/such/interpreter\n");
  std::filesystem::permissions(path, std::filesystem::perms::owner_all);
  const auto script = start({"./script"});
  ASSERT_TRUE(script.has_value()) << script.error().message;
  const std::optional<Error> no_interpreter = wait(*script).end->not_started;
  ASSERT_TRUE(no_interpreter.has_value());
  EXPECT_EQ(no_interpreter->code, Errc::not_found);
  EXPECT_EQ(no_interpreter->message, "cannot run './script': '" + folder_.path() +
                                         "/./script' or its interpreter was not found");

  SpawnRequest request;
  request.program = "/bin/true";
  request.argv = {"true"};
  request.directory = folder_.file("gone");
  const auto folder = processes_->start(request, "", now_for_tests());
  ASSERT_TRUE(folder.has_value()) << folder.error().message;
  const std::optional<Error> no_folder = wait(*folder).end->not_started;
  ASSERT_TRUE(no_folder.has_value());
  EXPECT_EQ(no_folder->code, Errc::not_found);
  EXPECT_NE(no_folder->message.find("its folder"), std::string::npos) << no_folder->message;
}

TEST_F(ProcessesTest, one_that_is_killed_on_the_way_to_its_program_has_not_failed_to_start) {
  open();
  for (int i = 0; i < 200; ++i) {
    const ProcessId id = start_shell("sleep 100");
    if (i % 2 == 0) {
      processes_->kill(id);
    } else {
      processes_->terminate(id, now_for_tests());
    }
    const ProcessEnd& end = *wait(id).end;
    EXPECT_FALSE(end.not_started.has_value()) << end.not_started->message;
    EXPECT_EQ(end.exit_code, i % 2 == 0 ? 137 : 143);
  }
}

// As a child on the way to its program has them.
TEST_F(ProcessesTest, copies_of_our_descriptors_elsewhere_wake_nobody_after_the_end) {
  Processes::Options options;
  options.sole_parent = false;
  open(options);
  const ProcessId id = start_shell("echo out; while ! test -e go; do :; done");
  EXPECT_TRUE(run_until(*processes_, [&] { return seen_.all[id].out == "out\n"; }));
  const pid_t copy = ::fork();
  if (copy == 0) {
    ::pause();
    ::_exit(0);
  }
  ASSERT_GT(copy, 0);
  folder_.write("go", "");
  EXPECT_EQ(wait(id).end->exit_code, 0);
  pollfd item{processes_->fd(), POLLIN, 0};
  EXPECT_EQ(::poll(&item, 1, 0), 0);
  ::kill(copy, SIGKILL);
  ::waitpid(copy, nullptr, 0);
}

TEST_F(ProcessesTest, the_destructor_waits_for_those_on_the_way_to_their_program) {
  for (int i = 0; i < 50; ++i) {
    open();
    for (int n = 0; n < 4; ++n) start_shell("sleep 100");
    processes_.reset();
  }
  EXPECT_TRUE(Children().list().empty());
}

TEST_F(ProcessesTest, cpu_time_and_output_are_counted_while_it_runs) {
  open();
  const ProcessId id = start_shell("echo hello; (while :; do :; done) & while :; do :; done");
  ASSERT_TRUE(run_until(*processes_, [&] {
    const auto usage = processes_->usage(now_for_tests());
    return usage.at(id).cpu_ms >= 50 && usage.at(id).bytes_out == 6;
  }));
  processes_->kill(id);
  EXPECT_GT(wait(id).end->cpu_ms, 0u);
}

TEST_F(ProcessesTest, a_group_is_stopped_only_if_all_its_members_are) {
  open();
  const ProcessId id = start_shell("sleep infinity & echo $! > child; echo $$ > pid; wait");
  const pid_t leader = pid_in("pid");
  const pid_t child = pid_in("child");
  const auto is_stopped = [&] { return processes_->usage(now_for_tests()).at(id).stopped; };
  EXPECT_FALSE(is_stopped());
  ::kill(leader, SIGSTOP);
  ASSERT_TRUE(run_until(*processes_, [&] {
    ProcStat stat;
    return read_proc_stat(leader, stat) && stat.state == 'T';
  }));
  EXPECT_FALSE(is_stopped());
  ::kill(child, SIGSTOP);
  EXPECT_TRUE(run_until(*processes_, is_stopped));
  ::kill(leader, SIGCONT);
  EXPECT_TRUE(run_until(*processes_, [&] { return !is_stopped(); }));
  processes_->kill(id);
  wait(id);
}

TEST_F(ProcessesTest, nothing_survives_the_destructor) {
  open();
  start_shell(
      "trap '' TERM; setsid sh -c 'echo $$ > escaped; exec sleep infinity' & sleep infinity & echo "
      "$! > child; echo $$ > pid; wait");
  const std::vector<pid_t> pids{pid_in("pid"), pid_in("child"), pid_in("escaped")};
  processes_.reset();
  for (const pid_t pid : pids) EXPECT_FALSE(is_alive(pid));
  EXPECT_EQ(seen_.ended, 0u);
}

TEST_F(ProcessesTest, nothing_survives_the_death_of_the_worker) {
  // The worker of this test is a process of its own, killed without warning.
  const pid_t worker = ::fork();
  ASSERT_GE(worker, 0);
  if (worker == 0) {
    open();
    start_shell("sleep infinity & echo $! > child; echo $$ > pid; wait");
    run_until(*processes_, [] { return false; });
    ::_exit(0);
  }
  const auto filled = [&](const char* name) { return folder_.read(name).size() > 1; };
  struct Nothing {
    [[nodiscard]] int fd() const { return -1; }
    [[nodiscard]] MonoTime deadline() const { return MonoTime::never(); }
    void run(Now) {}
  } nothing;
  ASSERT_TRUE(run_until(nothing, [&] { return filled("pid") && filled("child"); }));
  const pid_t pid = std::atoi(folder_.read("pid").c_str());
  const pid_t child = std::atoi(folder_.read("child").c_str());
  EXPECT_TRUE(is_alive(child));
  ::kill(worker, SIGKILL);
  ::waitpid(worker, nullptr, 0);
  EXPECT_TRUE(run_until(nothing, [&] { return !is_alive(pid) && !is_alive(child); }));
}

TEST_F(ProcessesTest, many_at_once_all_end) {
  open();
  std::vector<ProcessId> ids;
  for (int i = 0; i < 60; ++i) ids.push_back(start_shell("echo " + std::to_string(i)));
  ASSERT_TRUE(run_until(*processes_, [&] { return seen_.ended == ids.size(); }));
  for (size_t i = 0; i < ids.size(); ++i)
    EXPECT_EQ(seen_.all[ids[i]].out, std::to_string(i) + "\n");
}

}  // namespace
}  // namespace zgrid::worker
