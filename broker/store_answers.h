// What clients ask that only the store knows, as messages. Runs on the store's thread.
#pragma once

#include <vector>

#include "broker/core/effects.h"

namespace zgrid::broker {

// An error of the store becomes the error of an Answer; of results, those that cannot be read are
// reported as failed, so that nobody waits for them for ever.
std::vector<protocol::Message> answer_from_store(JobStore& store, const StoreRead& read);

}  // namespace zgrid::broker
