#include "broker/store/facts_table.h"

#include "protocol/codec.h"

namespace zgrid::broker {

Result<void> FactsTable::load(Database& db) {
  Result<Statement> insert = db.prepare("INSERT OR REPLACE INTO facts(n, data) VALUES(?1, ?2)");
  Result<Statement> select = db.prepare("SELECT n, data FROM facts ORDER BY n");
  if (!insert) return fail(std::move(insert.error()));
  if (!select) return fail(std::move(select.error()));
  insert_ = std::move(*insert);
  Step step = select->step();
  for (; step == Step::row; step = select->step()) {
    const auto number = static_cast<FactsNumber>(facts_.size() + 1);
    if (select->integer(0) != number) {
      return fail(Errc::corrupt,
                  "what is known of worker number " + std::to_string(number) + " is missing");
    }
    Result<WorkerFacts> facts = decode_facts_part(select->blob(1), number);
    if (!facts) return fail(std::move(facts.error()));
    numbers_.emplace(protocol::encode_facts(*facts).str(), number);
    facts_.push_back(std::make_shared<const WorkerFacts>(std::move(*facts)));
  }
  if (step == Step::failed) return fail(db.fault(), "cannot read what is known of workers");
  committed();
  return {};
}

std::optional<FactsNumber> FactsTable::number_of(const WorkerFactsRef& facts) {
  if (!facts) return 0;
  if (const auto known = addresses_.find(facts); known != addresses_.end()) return known->second;
  std::string encoded = protocol::encode_facts(*facts).str();
  auto known = numbers_.find(encoded);
  if (known == numbers_.end()) {
    const auto number = static_cast<FactsNumber>(facts_.size() + 1);
    const std::string part = encode_facts_part(*facts, number);
    insert_.bind(1, number);
    insert_.bind_blob(2, part);
    if (!insert_.run()) return std::nullopt;
    facts_.push_back(facts);
    known = numbers_.emplace(std::move(encoded), number).first;
  }
  if (addresses_.size() >= kAddressesMax) addresses_.clear();
  addresses_.emplace(facts, known->second);
  return known->second;
}

Result<WorkerFactsRef> FactsTable::get(FactsNumber number) const {
  if (number == 0) return WorkerFactsRef();
  if (number > facts_.size()) {
    return fail(Errc::corrupt, "worker number " + std::to_string(number) + " is not known");
  }
  return facts_[number - 1];
}

void FactsTable::rolled_back() {
  if (facts_.size() == durable_) return;
  facts_.resize(durable_);
  addresses_.clear();
  std::erase_if(numbers_, [&](const auto& entry) { return entry.second > durable_; });
}

}  // namespace zgrid::broker
