// Reads all of a store and says what is wrong with it, rather than stopping at the first damage.
// Threads: one at a time.
#pragma once

#include <string>

#include "broker/store/store_tools.h"

namespace zgrid::broker {

// The caller holds the store's lock. Nothing is changed: what a log has is read through it, but
// stays there. Damage is in the report. Errc::io, Errc::unsupported, Errc::cannot_create.
Result<StoreReport> check_files(const std::string& path);

}  // namespace zgrid::broker
