#include "broker/store/log_table.h"

#include <algorithm>
#include <utility>

#include "protocol/base/check.h"

namespace zgrid::broker {
namespace {

constexpr uint64_t kRowMax = (uint64_t{1} << 48) - 1;

Failure damaged(const std::string& what) {
  return fail(Errc::corrupt, what, "restore the store from a backup");
}

}  // namespace

// ---- the start ------------------------------------------------------------------------

Result<void> LogTable::prepare() {
  const struct {
    Statement& statement;
    const char* text;
  } all[] = {
      {sql_.put, "INSERT INTO log(n, run, data) VALUES(?1, ?2, ?3)"},
      {sql_.change, "UPDATE log SET data = ?2 WHERE n = ?1"},
      {sql_.drop, "DELETE FROM log WHERE n BETWEEN ?1 AND ?2"},
      {sql_.row, "SELECT run, data FROM log WHERE n = ?1"},
      {sql_.of_run, "SELECT n FROM log WHERE run = ?1 ORDER BY n DESC"},
  };
  for (const auto& one : all) {
    Result<Statement> prepared = db_.prepare(one.text);
    if (!prepared) return fail(std::move(prepared.error()));
    one.statement = std::move(*prepared);
  }
  return {};
}

Result<void> LogTable::load(const MetaPart& meta, const OnDamage& on_damage) {
  if (Result<void> done = prepare(); !done) return done;
  const auto told = [&](Result<void> result) -> Result<void> {
    if (result || !on_damage || result.error().code != Errc::corrupt) return result;
    on_damage(std::move(result.error()));
    return {};
  };
  Result<Statement> all = db_.prepare("SELECT n, run, data FROM log ORDER BY n");
  if (!all) return fail(std::move(all.error()));
  LogRow row;
  uint64_t with_run = 0, rows_said = 0;
  Step step = all->step();
  for (; step == Step::row; step = all->step()) {
    const auto number = static_cast<uint64_t>(all->integer(0));
    if (number < next_row_ || number > kRowMax) return damaged("the log's rows have no order");
    next_row_ = number + 1;
    ++rows_;
    if (!all->is_null(1)) ++with_run;
    Result<void> read = read_log_row(all->blob(2), number, all->blob(1), row);
    rows_said = read ? row.rows : rows_;
    if (read = told(std::move(read)); !read) return read;
    for (const LogEntry& entry : row.entries) learn(Added(number, entry));
    if (live_.find(number) == nullptr) dead_.push_back(number);
  }
  if (step == Step::failed) return fail(db_.fault(), "cannot read the log");
  Result<void> done;
  if (rows_ != rows_said) {
    done = damaged("the log has " + std::to_string(rows_) + " rows instead of " +
                   std::to_string(rows_said));
  }
  done = told(std::move(done));
  if (done) done = told(check_extent(meta, with_run));
  return done ? drop_orphans(on_damage) : done;
}

// Rows that are missing at the end leave a log that agrees with itself.
Result<void> LogTable::check_extent(const MetaPart& meta, uint64_t rows_with_run) {
  if (meta.log) {
    if (next_row_ < meta.log->next_row) return damaged("the newest rows of the log are missing");
    if (meta.clean && (rows_ != meta.log->rows || next_row_ != meta.log->next_row)) {
      return damaged("the log has " + std::to_string(rows_) + " rows instead of " +
                     std::to_string(meta.log->rows));
    }
  }
  const Result<std::string> in_index =
      db_.value("SELECT count(*) FROM log INDEXED BY log_run WHERE run IS NOT NULL");
  if (!in_index) return fail(in_index.error());
  if (*in_index == std::to_string(rows_with_run)) return {};
  return damaged("the index of runs is damaged");
}

LogTable::Added::Added(uint64_t in_row, const LogEntry& entry)
    : row(in_row),
      seq(entry.seq),
      status(entry.status),
      is_accepted(entry.accepted.has_value()),
      has_state(entry.state.has_value()),
      is_broadcast(entry.is_broadcast),
      is_eventful(entry.is_eventful),
      has_outside(entry.has_outside) {}

void LogTable::learn(const Added& added) {
  JobPlace place;
  if (const JobPlace* known = places_.find(added.seq)) place = *known;
  if (place.changed_row != 0) replaced(place.changed_row);
  if (added.is_accepted) {
    if (place.accepted_row != 0) replaced(place.accepted_row);
    place = JobPlace{};
    place.accepted_row = added.row & kRowMax;
    place.is_broadcast = added.is_broadcast;
  } else {
    place.changed_row = added.row & kRowMax;
  }
  place.status = static_cast<uint8_t>(added.status);
  if (added.has_state) place.is_eventful = added.is_eventful;
  if (added.has_outside) place.has_outside = 1;
  places_.set(added.seq, place);
  if (Live* live = live_.find(added.row)) {
    ++live->entries;
  } else {
    live_.set(added.row, Live{1});
  }
}

void LogTable::replaced(uint64_t row) {
  Live* live = live_.find(row);
  ZGRID_CHECK(live != nullptr);
  if (live->entries > 1) {
    --live->entries;
    return;
  }
  live_.erase(row);
  dead_.push_back(row);
}

// A state that a later one replaced stays in its row, also when the job has been purged. A result
// leaves its row when its job is purged.
Result<void> LogTable::drop_orphans(const OnDamage& on_damage) {
  std::vector<uint64_t> orphans;
  size_t results = 0;
  places_.rising([&](uint64_t seq, const JobPlace& place) {
    if (place.accepted_row == 0) orphans.push_back(seq);
    if (place.accepted_row == 0 && is_terminal(place.state())) ++results;
    return true;
  });
  for (const uint64_t seq : orphans) {
    replaced(places_.find(seq)->changed_row);
    places_.erase(seq);
  }
  if (results == 0) return {};
  Failure damage = damaged("the log has the results of " + std::to_string(results) +
                           " jobs that it does not have");
  if (!on_damage) return damage;
  on_damage(std::move(damage.value()));
  return {};
}

// ---- writing --------------------------------------------------------------------------

bool LogTable::is_live(uint64_t row, const LogEntry& entry) const {
  const JobPlace* place = places_.find(entry.seq);
  if (place == nullptr) return false;
  return (entry.accepted ? place->accepted_row : place->changed_row) == row;
}

bool LogTable::purge(std::span<const uint64_t> seqs) {
  error_.reset();
  std::vector<std::pair<uint64_t, uint64_t>> touched;  // row, job
  for (const uint64_t seq : seqs) {
    const JobPlace* place = places_.find(seq);
    if (place == nullptr) continue;
    gone_.push_back(seq);
    if (place->accepted_row != 0) touched.emplace_back(place->accepted_row, seq);
    if (place->changed_row != 0) touched.emplace_back(place->changed_row, seq);
  }
  std::sort(touched.begin(), touched.end());
  for (size_t begin = 0, end = 0; begin < touched.size(); begin = end) {
    const uint64_t row = touched[begin].first;
    while (end < touched.size() && touched[end].first == row) ++end;
    const auto left = static_cast<uint32_t>(live_.find(row)->entries - (end - begin));
    changed_.push_back({row, left});
    if (left == 0) {
      drop_.push_back(row);
    } else if (!write_again(row, gone_, left)) {
      return false;
    }
  }
  drops_dead_ = !seqs.empty() || dead_.size() >= kDeadRowsMax;
  if (drops_dead_) drop_.insert(drop_.end(), dead_.begin(), dead_.end());
  return drop_rows();
}

// In runs, which costs half as much: those that were written one after another mostly end so.
bool LogTable::drop_rows() {
  std::sort(drop_.begin(), drop_.end());
  for (size_t begin = 0, end = 0; begin < drop_.size(); begin = end) {
    while (end < drop_.size() && drop_[end] - drop_[begin] == end - begin) ++end;
    sql_.drop.bind(1, static_cast<int64_t>(drop_[begin]));
    sql_.drop.bind(2, static_cast<int64_t>(drop_[end - 1]));
    if (!sql_.drop.run()) return false;
  }
  dropped_ = drop_.size();
  return true;
}

bool LogTable::write_again(uint64_t number, std::span<const uint64_t> gone, uint32_t left) {
  const Result<const Cached*> old = row(number, *accepted_cache_);
  if (!old) {
    error_ = old.error();
    return false;
  }
  LogRowWriter fresh;
  for (const LogEntry& entry : (*old)->row.entries) {
    if (!is_live(number, entry)) continue;
    if (std::binary_search(gone.begin(), gone.end(), entry.seq)) continue;
    fresh.add(entry);
  }
  ZGRID_CHECK(fresh.entries() == left);
  sql_.change.bind(1, static_cast<int64_t>(number));
  sql_.change.bind_blob(2, fresh.seal(number, (*old)->row.rows, (*old)->run));
  return sql_.change.run();
}

bool LogTable::add(const LogEntry& entry, std::string_view run) {
  ZGRID_CHECK(entry.accepted || places_.find(entry.seq) != nullptr);
  Open* const open = open_row(entry, run);
  if (open == nullptr) return false;
  if (open->row.entries() == 0) {
    if (first_new_ == 0) first_new_ = next_row_;
    open->number = next_row_++;
    open->run = run;
  }
  open->row.add(entry);
  added_.emplace_back(open->number, entry);
  return true;
}

// One with room for the entry; null: one that had none could not be written.
LogTable::Open* LogTable::open_row(const LogEntry& entry, std::string_view run) {
  const auto has_room = [&](const Open& open) {
    return open.row.entries() == 0 ||
           open.row.size_with(entry) + open.run.size() <= LogRowWriter::kBytesMax;
  };
  if (!entry.accepted) return has_room(later_) || write(later_) ? &later_ : nullptr;
  for (Open& open : accepted_) {
    if (open.row.entries() == 0 || open.run != run) continue;
    return has_room(open) || write(open) ? &open : nullptr;
  }
  for (Open& open : accepted_) {
    if (open.row.entries() == 0) return &open;
  }
  if (accepted_.size() < kOpenRuns) return &accepted_.emplace_back();
  // The oldest one makes room.
  std::rotate(accepted_.begin(), accepted_.begin() + 1, accepted_.end());
  return write(accepted_.back()) ? &accepted_.back() : nullptr;
}

bool LogTable::write(Open& open) {
  const uint64_t rows = rows_ - dropped_ + (open.number - first_new_ + 1);
  sql_.put.bind(1, static_cast<int64_t>(open.number));
  open.run.empty() ? sql_.put.bind_null(2) : sql_.put.bind_text(2, open.run);
  sql_.put.bind_blob(3, open.row.seal(open.number, rows, open.run));
  const bool done = sql_.put.run();
  open.row.clear();
  return done;
}

bool LogTable::finish() {
  for (Open& open : accepted_) {
    if (open.row.entries() > 0 && !write(open)) return false;
  }
  if (later_.row.entries() > 0 && !write(later_)) return false;
  if (dropped_ == 0 || first_new_ != 0) return true;
  // The newest row says how many there are.
  first_new_ = later_.number = next_row_++;
  later_.run.clear();
  return write(later_);
}

void LogTable::committed() {
  for (const Changed& changed : changed_) {
    if (changed.left == 0) {
      live_.erase(changed.row);
    } else {
      live_.find(changed.row)->entries = changed.left;
    }
  }
  if (drops_dead_) dead_.clear();
  for (const uint64_t seq : gone_) places_.erase(seq);
  rows_ -= dropped_;
  if (first_new_ != 0) {
    rows_ += next_row_ - first_new_;
    if (added_.empty()) dead_.push_back(first_new_);
  }
  for (const Added& added : added_) learn(added);
  end_transaction();
}

void LogTable::rolled_back() {
  if (first_new_ != 0) next_row_ = first_new_;
  end_transaction();
}

void LogTable::end_transaction() {
  // What was read in between may be of rows as they were before, or would have been.
  if (!changed_.empty()) {
    for (Cached& cached : *accepted_cache_) cached.number = 0;
    for (Cached& cached : *later_cache_) cached.number = 0;
  }
  first_new_ = dropped_ = 0;
  drops_dead_ = false;
  for (Open& open : accepted_) open.row.clear();
  later_.row.clear();
  gone_.clear();
  drop_.clear();
  changed_.clear();
  added_.clear();
}

// ---- reading --------------------------------------------------------------------------

Result<const LogTable::Cached*> LogTable::row(uint64_t number, Cache& cache) {
  ZGRID_CHECK(number != 0);
  Cached& place = cache[number % kCachedRows];
  if (place.number == number) return &place;
  place.number = 0;
  sql_.row.bind(1, static_cast<int64_t>(number));
  const ResetAtEnd reset(sql_.row);
  switch (sql_.row.step()) {
    case Step::row: break;
    case Step::done: return damaged("row " + std::to_string(number) + " of the log is missing");
    case Step::failed: return fail(db_.fault(), "cannot read the log");
  }
  place.run = sql_.row.blob(0);
  place.bytes = sql_.row.blob(1);
  if (Result<void> read = read_log_row(place.bytes, number, place.run, place.row); !read) {
    return fail(std::move(read.error()));
  }
  place.number = number;
  return &place;
}

Result<const LogEntry*> LogTable::entry(uint64_t number, uint64_t seq, Cache& cache,
                                        const Cached** in) {
  const Result<const Cached*> found = row(number, cache);
  if (!found) return fail(found.error());
  for (const LogEntry& entry : (*found)->row.entries) {
    if (entry.seq != seq || !is_live(number, entry)) continue;
    *in = *found;
    return &entry;
  }
  return damaged("job number " + std::to_string(seq) + " is missing in row " +
                 std::to_string(number) + " of the log");
}

Result<JobParts> LogTable::parts(uint64_t seq, const JobPlace& place) {
  const Cached* in = nullptr;
  const Result<const LogEntry*> accepted = entry(place.accepted_row, seq, *accepted_cache_, &in);
  if (!accepted) return fail(accepted.error());
  JobParts parts;
  parts.seq = seq;
  parts.status = place.state();
  parts.run = in->run;
  parts.is_broadcast = (*accepted)->is_broadcast;
  parts.accepted = *(*accepted)->accepted;
  parts.state = (*accepted)->state;
  parts.ended = (*accepted)->ended;
  if (place.changed_row == 0) return parts;
  const Result<const LogEntry*> later = entry(place.changed_row, seq, *later_cache_, &in);
  if (!later) return fail(later.error());
  if ((*later)->state) parts.state = (*later)->state;
  if ((*later)->ended) parts.ended = (*later)->ended;
  return parts;
}

Result<void> LogTable::of_run(const std::string& run, std::span<const JobStatus> states,
                              const OnJob& visit) {
  std::vector<uint64_t> rows;
  {
    sql_.of_run.bind_text(1, run);
    const ResetAtEnd reset(sql_.of_run);
    Step step = sql_.of_run.step();
    for (; step == Step::row; step = sql_.of_run.step()) {
      rows.push_back(static_cast<uint64_t>(sql_.of_run.integer(0)));
    }
    if (step == Step::failed) return fail(db_.fault(), "cannot read the log");
  }
  const auto wants = [&](const JobPlace& place) {
    return states.empty() || std::find(states.begin(), states.end(), place.state()) != states.end();
  };
  // Few of many: no row is read for what is not wanted.
  if (!states.empty()) {
    places_.falling([&](uint64_t seq, const JobPlace& place) {
      if (!wants(place)) return true;
      if (!std::binary_search(rows.rbegin(), rows.rend(), place.accepted_row)) return true;
      return visit(seq, place);
    });
    return {};
  }
  for (const uint64_t number : rows) {
    const Result<const Cached*> found = row(number, *accepted_cache_);
    if (!found) return fail(found.error());
    // Whoever visits a job may read other rows, too.
    std::vector<uint64_t> jobs;
    for (const LogEntry& entry : (*found)->row.entries) {
      if (entry.accepted && is_live(number, entry)) jobs.push_back(entry.seq);
    }
    for (auto job = jobs.rbegin(); job != jobs.rend(); ++job) {
      if (!visit(*job, *places_.find(*job))) return {};
    }
  }
  return {};
}

}  // namespace zgrid::broker
