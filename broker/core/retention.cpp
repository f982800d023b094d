// How long ended jobs are kept, and the clock that this and all deadlines run on.
#include <algorithm>

#include "broker/core/state.h"

namespace zgrid::broker {

namespace {

// Purging is looked at so often, unless a whole batch is due at once.
constexpr Micros kEvery{1'000'000};
// A turn purges or forgets at most so many batches, so that it stays short.
constexpr int kBatchesMax = 4;
// So many bytes beyond the limit are worth a batch at once.
constexpr uint64_t kBytesSlack = 16u << 20;
// The clock is stored with other records if they come so long after the last time …
constexpr Micros kClockEvery{10'000'000};
// … alone after so long, or a broker that is killed after days of quiet counts them as absence …
constexpr Micros kClockAlone{3'600'000'000};
// … and alone if the two clocks have drifted so far apart (somebody set the wall clock).
constexpr Micros kClockJump{1'000'000};

bool is_due(State& s, const Past& past) {
  return s.history.kept() > s.config.retention_jobs ||
         s.history.kept_bytes() > s.config.retention_bytes ||
         past.ended + Micros(s.config.retention) <= s.grid;
}

// One record; nothing if nothing is due.
bool purge_batch(State& s) {
  const Past* oldest = s.history.oldest_kept();
  if (oldest == nullptr || !is_due(s, *oldest)) return false;
  Purge purge = s.history.purge_oldest(s.grid);
  while (purge.jobs.size() < limits::kPurgeBatch) {
    oldest = s.history.oldest_kept();
    if (oldest == nullptr || !is_due(s, *oldest)) break;
    s.history.purge_more(purge);
  }
  s.effects.records.emplace_back(std::move(purge));
  return true;
}

bool forget_batch(State& s) {
  const auto purged_at = s.history.oldest_purge();
  if (!purged_at || *purged_at + Micros(s.config.retention_ids) > s.grid) return false;
  s.effects.records.emplace_back(
      s.history.forget_oldest([&](const Past& past, const std::string& key) {
        --s.by_status[static_cast<size_t>(past.status)];
        if (key.empty()) return;
        const auto it = s.keys.find(key);
        if (it != s.keys.end() && it->second == past.id) s.keys.erase(it);
      }));
  return true;
}

bool is_batch_due(const State& s) {
  return s.history.kept() >= s.config.retention_jobs + limits::kPurgeBatch ||
         s.history.kept_bytes() > s.config.retention_bytes + kBytesSlack;
}

// How far the wall clock has moved against ours since it was stored.
Micros drift(const State& s) {
  const Micros wall = s.now.wall - s.stored_clock->wall;
  const Micros grid = s.grid - s.stored_clock->grid;
  return wall > grid ? wall - grid : grid - wall;
}

}  // namespace

void start_clock(State& s) {
  s.grid_at_start = GridTime{s.now.wall.us};
  // A store of the first release has no clock, and its times are the wall clock's. Its rest counts
  // from its last sign of life, or opening it late would purge all of it at once.
  if (!s.stored_clock && s.last_sign.us != 0) {
    s.stored_clock = PutClock{s.last_sign, WallTime{s.last_sign.us}};
  }
  if (s.stored_clock) {
    const Micros absent = std::clamp<Micros>(s.now.wall - s.stored_clock->wall, Micros(0),
                                             Micros(limits::kAbsenceCounted));
    s.grid_at_start = s.stored_clock->grid + absent;
  }
  s.grid = s.grid_at_start;
  s.stored_clock = PutClock{s.grid, s.now.wall};
  s.clock_put_at = s.now.mono;
  s.effects.records.emplace_back(*s.stored_clock);
}

void advance_clock(State& s) { s.grid = s.grid_at_start + (s.now.mono - *s.started_at); }

void put_clock(State& s) {
  const bool in_company = !s.effects.records.empty() && s.now.mono - s.clock_put_at >= kClockEvery;
  const bool is_old = s.now.mono - s.clock_put_at >= kClockAlone;
  if (!in_company && !is_old && drift(s) < kClockJump) return;
  s.stored_clock = PutClock{s.grid, s.now.wall};
  s.clock_put_at = s.now.mono;
  s.effects.records.emplace_back(*s.stored_clock);
}

void retain(State& s) {
  if (s.now.mono < s.next_retention && !is_batch_due(s)) return;
  s.next_retention = s.now.mono + kEvery;
  for (int i = 0; i < kBatchesMax && purge_batch(s); ++i) {
  }
  for (int i = 0; i < kBatchesMax && forget_batch(s); ++i) {
  }
}

MonoTime next_retention(State& s) {
  MonoTime next = MonoTime::never();
  if (const Past* oldest = s.history.oldest_kept()) {
    next = is_due(s, *oldest) ? s.next_retention
                              : mono_of(s, oldest->ended + Micros(s.config.retention));
  }
  if (const auto purged_at = s.history.oldest_purge()) {
    next = std::min(next, mono_of(s, *purged_at + Micros(s.config.retention_ids)));
  }
  return std::max(next, s.next_retention);
}

}  // namespace zgrid::broker
