// Folders for what an attempt writes while it runs.
#pragma once

#include <string>

#include "protocol/base/result.h"

namespace zgrid::worker {

// Makes the folder, for its owner only. Errc::io.
Result<void> make_scratch(const std::string& path);

// Removes a file or folder with all that is in it, however deep, also where permissions were
// taken away; never follows a link, never leaves the file system. Errc::io with the first thing
// that stays.
Result<void> remove_tree(const std::string& path);

}  // namespace zgrid::worker
