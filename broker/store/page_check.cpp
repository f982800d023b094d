#include "broker/store/page_check.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "broker/store/sqlite_schema.h"
#include "broker/store/store_files.h"

namespace zgrid::broker {
namespace {

constexpr uint32_t kPage = kPageBytes;
// SQLite locks the byte at 1 GiB and never uses its page.
constexpr uint32_t kLockPage = (1u << 30) / kPage + 1;

// Bytes of a page or cell; what lies outside is zero.
class View {
 public:
  View(const uint8_t* data, uint32_t size) : data_(data), size_(size) {}
  [[nodiscard]] uint32_t u8(uint32_t at) const { return at < size_ ? data_[at] : 0; }
  [[nodiscard]] uint32_t u16(uint32_t at) const { return u8(at) << 8 | u8(at + 1); }
  [[nodiscard]] uint32_t u32(uint32_t at) const { return u16(at) << 16 | u16(at + 2); }
  // Moves `at` behind it.
  uint64_t varint(uint32_t& at) const {
    uint64_t value = 0;
    for (int i = 0; i < 8; ++i) {
      const uint32_t byte = u8(at++);
      value = value << 7 | (byte & 0x7f);
      if (byte < 0x80) return value;
    }
    return value << 8 | u8(at++);
  }

 private:
  const uint8_t* data_;
  uint32_t size_;
};

enum PageType : uint8_t { inner_index = 2, inner_table = 5, leaf_index = 10, leaf_table = 13 };

// What a cell takes in its page, and what of it lies in other pages.
struct Cell {
  uint32_t size = 0;
  uint64_t outside_bytes = 0;
  uint32_t outside = 0;  // the first overflow page
};

Cell read_cell(const View& page, uint32_t at, PageType type) {
  const uint32_t begin = at;
  const bool inner = type == inner_index || type == inner_table;
  if (inner) at += 4;
  if (type == inner_table) {
    page.varint(at);
    return Cell{at - begin, 0, 0};
  }
  const uint64_t payload = page.varint(at);
  if (type == leaf_table) page.varint(at);
  const uint32_t most = type == leaf_table ? kPage - 35 : (kPage - 12) * 64 / 255 - 23;
  const uint32_t least = (kPage - 12) * 32 / 255 - 23;
  Cell cell;
  uint64_t inside = payload;
  if (payload > most) {
    const uint64_t fitting = least + (payload - least) % (kPage - 4);
    inside = fitting <= most ? fitting : least;
    cell.outside_bytes = payload - inside;
    cell.outside = page.u32(at + static_cast<uint32_t>(inside));
    at += 4;
  }
  // The space of a cell can become that of a free block, which has four bytes.
  cell.size = std::max(at - begin + static_cast<uint32_t>(inside), 4u);
  return cell;
}

class Pages {
 public:
  Pages(int file, const PageLayout& layout)
      : file_(file), layout_(layout), used_(layout.pages + 1) {}

  Result<void> check() {
    Result<void> done = free_list();
    for (const uint32_t root : layout_.roots) {
      if (done) done = tree(root);
    }
    for (uint32_t n = 1; done && n <= layout_.pages; ++n) {
      if (!used_[n] && n != kLockPage) done = bad(n, "is neither used nor free");
    }
    return done;
  }

 private:
  using Page = std::array<uint8_t, kPage>;

  static Failure bad(uint32_t page, const std::string& what) {
    return fail(Errc::corrupt, "page " + std::to_string(page) + " " + what);
  }

  // Reads a page that nobody has used before, or its first bytes.
  Result<void> use(uint32_t n, Page& page, size_t bytes = kPage) {
    if (n == 0 || n > layout_.pages || n == kLockPage) return bad(n, "is used but does not exist");
    if (used_[n]) return bad(n, "is used twice");
    used_[n] = true;
    if (bytes == 0) return {};
    const off_t at = static_cast<off_t>(n - 1) * kPage;
    const ssize_t got = ::pread(file_, page.data(), bytes, at);
    if (got == static_cast<ssize_t>(bytes)) return {};
    if (got >= 0) return bad(n, "is missing");
    return fail(Errc::io, "cannot read page " + std::to_string(n) + ": " + std::strerror(errno));
  }

  Result<void> free_list() {
    Page page;
    if (Result<void> read = use(1, page); !read) return read;
    used_[1] = false;
    uint32_t count = 0;
    for (uint32_t n = View(page.data(), kPage).u32(32); n != 0;) {
      if (Result<void> read = use(n, page); !read) return read;
      const View trunk(page.data(), kPage);
      const uint32_t leaves = trunk.u32(4);
      if (leaves > kPage / 4 - 2) return bad(n, "lists too many free pages");
      for (uint32_t i = 0; i < leaves; ++i) {
        Page none;
        if (Result<void> used = use(trunk.u32(8 + 4 * i), none, 0); !used) return used;
      }
      count += 1 + leaves;
      n = trunk.u32(0);
    }
    if (count == layout_.free_pages) return {};
    return bad(1, "has a wrong count of free pages");
  }

  Result<void> tree(uint32_t root) {
    std::vector<uint32_t> todo{root};
    Page page;
    while (!todo.empty()) {
      const uint32_t n = todo.back();
      todo.pop_back();
      Result<void> done = use(n, page);
      if (done) done = cells(n, View(page.data(), kPage), todo);
      if (!done) return done;
    }
    return {};
  }

  Result<void> cells(uint32_t n, const View& page, std::vector<uint32_t>& todo) {
    const uint32_t header = n == 1 ? 100 : 0;
    const auto type = static_cast<PageType>(page.u8(header));
    const bool inner = type == inner_index || type == inner_table;
    if (!inner && type != leaf_index && type != leaf_table) return bad(n, "is of no known kind");
    const uint32_t count = page.u16(header + 3);
    const uint32_t pointers = header + (inner ? 12 : 8);
    const uint32_t content = page.u16(header + 5);
    if (content > kPage || pointers + 2 * count > content) return bad(n, "has too many cells");
    const size_t children = todo.size();
    uint64_t bytes = page.u8(header + 7);  // scattered, too small for a list
    for (uint32_t i = 0; i < count; ++i) {
      const uint32_t at = page.u16(pointers + 2 * i);
      const Cell cell = read_cell(page, at, type);
      if (at < content || at + cell.size > kPage) return bad(n, "has a cell outside of it");
      bytes += cell.size;
      if (inner) todo.push_back(page.u32(at));
      if (cell.outside_bytes == 0) continue;
      if (Result<void> done = overflow(cell.outside, cell.outside_bytes); !done) return done;
    }
    for (uint32_t at = page.u16(header + 1), next = 0; at != 0; at = next) {
      next = page.u16(at);
      const uint32_t size = page.u16(at + 2);
      if (at < content || size < 4 || at + size > kPage || (next != 0 && next < at + size)) {
        return bad(n, "has a bad list of free space");
      }
      bytes += size;
    }
    if (content + bytes != kPage) return bad(n, "has cells that overlap");
    // So that pages are read in about the order in which they lie in the file.
    std::reverse(todo.begin() + static_cast<ptrdiff_t>(children), todo.end());
    if (inner) todo.insert(todo.begin() + static_cast<ptrdiff_t>(children), page.u32(header + 8));
    return {};
  }

  Result<void> overflow(uint32_t n, uint64_t bytes) {
    Page page;
    for (;;) {
      if (Result<void> read = use(n, page, 4); !read) return read;
      const uint32_t next = View(page.data(), 4).u32(0);
      const bool last = bytes <= kPage - 4;
      if (last != (next == 0)) return bad(n, "has a wrong successor");
      if (last) return {};
      bytes -= kPage - 4;
      n = next;
    }
  }

  int file_;
  const PageLayout& layout_;
  std::vector<bool> used_;
};

}  // namespace

Result<void> check_pages(int file, const PageLayout& layout) { return Pages(file, layout).check(); }

}  // namespace zgrid::broker
