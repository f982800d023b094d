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

Result<void> LogTable::load(const OnDamage& on_damage) {
  if (Result<void> done = prepare(); !done) return done;
  const auto told = [&](Result<void> result) -> Result<void> {
    if (result || !on_damage || result.error().code != Errc::corrupt) return result;
    on_damage(std::move(result.error()));
    return {};
  };
  Result<Statement> all = db_.prepare("SELECT n, data FROM log ORDER BY n");
  if (!all) return fail(std::move(all.error()));
  LogRow row;
  Step step = all->step();
  for (; step == Step::row; step = all->step()) {
    const auto number = static_cast<uint64_t>(all->integer(0));
    if (number < next_row_ || number > kRowMax) return damaged("the log's rows have no order");
    next_row_ = number + 1;
    ++rows_;
    if (Result<void> read = told(read_log_row(all->blob(1), number, row)); !read) return read;
    for (const LogEntry& entry : row.entries) learn(Added(number, entry));
    if (live_.find(number) == nullptr) dead_.push_back(number);
  }
  if (step == Step::failed) return fail(db_.fault(), "cannot read the log");
  Result<void> all_there;
  if (rows_ != row.rows) {
    all_there = damaged("the log has " + std::to_string(rows_) + " rows instead of " +
                        std::to_string(row.rows));
  }
  all_there = told(std::move(all_there));
  return all_there ? drop_orphans(on_damage) : all_there;
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
  const Result<const Cached*> old = row(number);
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
  sql_.change.bind_blob(2, fresh.seal(number, (*old)->row.rows));
  return sql_.change.run();
}

bool LogTable::add(const LogEntry& entry, std::string_view run) {
  ZGRID_CHECK(entry.accepted || places_.find(entry.seq) != nullptr);
  Open& open = entry.accepted ? accepted_ : later_;
  if (open.row.entries() > 0 &&
      (open.run != run || open.row.size_with(entry) > LogRowWriter::kBytesMax) && !write(open)) {
    return false;
  }
  if (open.row.entries() == 0) {
    if (first_new_ == 0) first_new_ = next_row_;
    open.number = next_row_++;
    open.run = run;
  }
  open.row.add(entry);
  added_.emplace_back(open.number, entry);
  return true;
}

bool LogTable::write(Open& open) {
  const uint64_t rows = rows_ - dropped_ + (open.number - first_new_ + 1);
  sql_.put.bind(1, static_cast<int64_t>(open.number));
  open.run.empty() ? sql_.put.bind_null(2) : sql_.put.bind_text(2, open.run);
  sql_.put.bind_blob(3, open.row.seal(open.number, rows));
  const bool done = sql_.put.run();
  open.row.clear();
  return done;
}

bool LogTable::finish() {
  if (accepted_.row.entries() > 0 && !write(accepted_)) return false;
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
  if (!changed_.empty()) {
    for (Cached& cached : cache_) cached.number = 0;
  }
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
  first_new_ = dropped_ = 0;
  drops_dead_ = false;
  accepted_.row.clear();
  later_.row.clear();
  gone_.clear();
  drop_.clear();
  changed_.clear();
  added_.clear();
}

// ---- reading --------------------------------------------------------------------------

Result<const LogTable::Cached*> LogTable::row(uint64_t number) {
  Cached* place = &cache_[0];
  for (Cached& cached : cache_) {
    if (cached.number == number) {
      cached.used = ++uses_;
      return &cached;
    }
    if (cached.used < place->used) place = &cached;
  }
  place->number = 0;
  sql_.row.bind(1, static_cast<int64_t>(number));
  const ResetAtEnd reset(sql_.row);
  switch (sql_.row.step()) {
    case Step::row: break;
    case Step::done: return damaged("row " + std::to_string(number) + " of the log is missing");
    case Step::failed: return fail(db_.fault(), "cannot read the log");
  }
  place->run = sql_.row.blob(0);
  place->bytes = sql_.row.blob(1);
  if (Result<void> read = read_log_row(place->bytes, number, place->row); !read) {
    return fail(std::move(read.error()));
  }
  place->number = number;
  place->used = ++uses_;
  return place;
}

Result<const LogEntry*> LogTable::entry(uint64_t number, uint64_t seq, const Cached** in) {
  const Result<const Cached*> found = row(number);
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
  const Result<const LogEntry*> accepted = entry(place.accepted_row, seq, &in);
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
  const Result<const LogEntry*> later = entry(place.changed_row, seq, &in);
  if (!later) return fail(later.error());
  if ((*later)->state) parts.state = (*later)->state;
  if ((*later)->ended) parts.ended = (*later)->ended;
  return parts;
}

Result<void> LogTable::of_run(const std::string& run,
                              const std::function<bool(uint64_t seq)>& visit) {
  sql_.of_run.bind_text(1, run);
  const ResetAtEnd reset(sql_.of_run);
  Step step = sql_.of_run.step();
  for (; step == Step::row; step = sql_.of_run.step()) {
    const auto number = static_cast<uint64_t>(sql_.of_run.integer(0));
    const Result<const Cached*> found = row(number);
    if (!found) return fail(found.error());
    // Whoever visits a job may read other rows, too.
    std::vector<uint64_t> jobs;
    for (const LogEntry& entry : (*found)->row.entries) {
      if (entry.accepted && is_live(number, entry)) jobs.push_back(entry.seq);
    }
    for (auto job = jobs.rbegin(); job != jobs.rend(); ++job) {
      if (!visit(*job)) return {};
    }
  }
  if (step == Step::failed) return fail(db_.fault(), "cannot read the log");
  return {};
}

}  // namespace zgrid::broker
