// Whether the pages of a database fit together: each is used once, by one tree, overflow or the
// list of free ones, and the cells of each fill it without overlapping. A free page that is in use
// as well would be written over.
//
// It stands in for SQLite's quick_check after an unclean stop, which reads every row too and takes
// several times as long. Rows, their checksums, their number and that of the index's entries are
// read by recovery anyway.
// Source: https://www.sqlite.org/fileformat2.html
// Threads: any. About half a second for each GB once it is in memory.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "protocol/base/result.h"

namespace zgrid::broker {

struct PageLayout {
  uint32_t pages = 0;
  uint32_t free_pages = 0;
  std::vector<uint32_t> roots;  // of all tables and indices
};

// The file alone is read: nothing may be in its log. Pages are of kPageBytes.
// Errc::corrupt names the page, Errc::io.
// `file` is open for reading. It must be closed after SQLite's connection and not before: closing
// any descriptor of a file ends all locks that the process has on it.
Result<void> check_pages(int file, const PageLayout& layout);

}  // namespace zgrid::broker
