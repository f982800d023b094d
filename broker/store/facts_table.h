// The facts of workers as an SQLite store keeps them: each once, named by a number from 1.
// Threads: one at a time. Lifetime: must not outlive the database.
#pragma once

#include <map>
#include <string>
#include <unordered_map>
#include <vector>

#include "broker/store/other_rows.h"
#include "broker/store/sqlite_db.h"

namespace zgrid::broker {

class FactsTable {
 public:
  // Reads all of them. Errc::corrupt, Errc::io.
  Result<void> load(Database& db);

  // The number of these facts, 0 for null. Inserts them into the open transaction if they are new;
  // nothing if that failed, the database then knows why.
  std::optional<FactsNumber> number_of(const WorkerFactsRef& facts);
  // Null for 0. Errc::corrupt for a number that nobody was given.
  [[nodiscard]] Result<WorkerFactsRef> get(FactsNumber number) const;

  // How the transaction ended.
  void committed() { durable_ = facts_.size(); }
  void rolled_back();

 private:
  // Messages of one session share one object, so that its address is the quickest key.
  static constexpr size_t kAddressesMax = 4096;

  Statement insert_;
  std::vector<WorkerFactsRef> facts_;                        // the first has number 1
  std::map<std::string, FactsNumber, std::less<>> numbers_;  // by encoded facts
  // The references keep the addresses from being used again.
  std::unordered_map<WorkerFactsRef, FactsNumber> addresses_;
  size_t durable_ = 0;  // how many of facts_ are committed
};

}  // namespace zgrid::broker
