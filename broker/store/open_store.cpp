#include "broker/store/memory_store.h"
#include "broker/store/sqlite_store.h"

namespace zgrid::broker {

Result<std::unique_ptr<JobStore>> open_store(const std::string& where) {
  if (where == "memory") return std::make_unique<MemoryStore>();
  if (where.empty()) return fail(Errc::usage, "the store has no path", "use --store PATH|memory");
  if (where.find("://") != std::string::npos) {
    return fail(Errc::unsupported, "store " + where + " is of a kind that this program lacks",
                "use a path, or memory");
  }
  return SqliteStore::open(where);
}

}  // namespace zgrid::broker
