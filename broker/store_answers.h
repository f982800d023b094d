// What only the store knows, on its way to whoever asked. Pure but for the store: used by the
// broker's loop and by the simulation alike.
#pragma once

#include <utility>
#include <vector>

#include "broker/core/core.h"

namespace zgrid::broker {

struct StoreAnswer {
  std::vector<protocol::Message> messages;           // to the session that the read names
  std::vector<std::pair<Token, Error>> lost_inputs;  // of assignments that cannot be sent
  std::vector<Core::Retried> retried;
  std::vector<Core::Explained> explained;
  size_t results_read = 0;  // of the jobs that were asked for
};

// On the loop's thread, just before a read goes to the store.
void number_jobs(const Core& core, StoreRead& read);
// On the store's thread. An error of the store becomes the error of an Answer; of results, those
// that cannot be read are reported as failed, so that nobody waits for them for ever.
StoreAnswer answer_from_store(JobStore& store, const StoreRead& read);
// On the loop's, within a turn of the core. Messages are appended to `out`.
void deliver_answer(Core& core, const StoreRead& read, StoreAnswer answer, std::vector<Send>& out);

}  // namespace zgrid::broker
