// Rows of the tables as jobs: what recovery, reads, lists and the check of a store share.
// Threads: one at a time. Lifetime: must not outlive the database and the facts.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "broker/store/facts_table.h"
#include "broker/store/rows.h"
#include "broker/store/sqlite_db.h"

namespace zgrid::broker {

// The columns of a whole row, for columns().
inline constexpr const char* kSelectRows =
    "SELECT j.seq, j.id_high, j.id_low, j.kind, j.status, j.accepted, j.state, j.ended,"
    " l.status, l.state, l.ended, j.run FROM job j LEFT JOIN later l ON l.seq = j.seq";

// Keys of the payloads that lie outside of their job's row.
constexpr int64_t input_key(uint64_t seq) { return static_cast<int64_t>(seq * 2); }
constexpr int64_t output_key(uint64_t seq) { return static_cast<int64_t>(seq * 2 + 1); }

// The two columns of an id.
int64_t id_high(const JobId& id);
int64_t id_low(const JobId& id);

// Views of the columns of a row, which last until the statement's next step.
struct Row {
  uint64_t seq = 0;
  JobId id;
  JobKind kind{};
  int64_t status = 0;
  bool changed = false;  // after the commit that accepted it
  std::string_view accepted, run;
  std::optional<std::string_view> state, ended;
};
Row columns(const Statement& statement);

// Of a set of ids and their rows, in whatever order.
struct IdSum {
  uint64_t count = 0;
  uint64_t sum = 0;
  void add(int64_t high, int64_t low, int64_t seq);
  friend bool operator==(const IdSum&, const IdSum&) = default;
};
// That each job is found by its id: the index has the same entries as the table, in its order.
Result<void> check_ids(Database& db, const IdSum& expected);
// That each later state or result belongs to a job; so many do.
Result<void> check_changes(Database& db, uint64_t expected);

class RowReader {
 public:
  RowReader(Database& db, const FactsTable& facts) : db_(db), facts_(facts) {}
  Result<void> prepare();

  // What is not wanted is left out: payloads by their size, and with it input_left_out is set.
  struct Wanted {
    uint64_t input_bytes_max = UINT64_MAX;
    bool output = true;
  };
  // Both: Errc::corrupt, Errc::io, without saying which row it is.
  Result<StoredJob> job(const Row& row, const Wanted& wanted);
  static Result<EndedJob> ended(const Row& row);

  // Says which row it is.
  static Error about(const Row& row, Error error);

 private:
  Result<void> add_end(const Row& row, bool with_output, StoredJob& job);
  Result<Bytes> payload(int64_t key, const Outside& outside, uint64_t seq);

  Database& db_;
  const FactsTable& facts_;
  SpecCache specs_;
  Statement payload_;
};

}  // namespace zgrid::broker
