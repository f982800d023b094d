// Arrays, lines and documents: which items they make.
#include "client/cli/bulk_source.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>

#include "client/cli/job_result.h"
#include "protocol/base/limits.h"

namespace zgrid::cli {
namespace {

class BulkSourceTest : public ::testing::Test {
 protected:
  BulkSourceTest() {
    std::string path = ::testing::TempDir() + "lines-XXXXXX";
    const int fd = ::mkstemp(path.data());
    ::close(fd);
    path_ = path;
  }
  ~BulkSourceTest() override { ::unlink(path_.c_str()); }
  Bulk lines(const std::string& text) {
    std::ofstream(path_, std::ios::binary) << text;
    Bulk bulk;
    bulk.each_line = path_;
    return bulk;
  }
  Bulk documents(const std::string& text) {
    Bulk bulk = lines(text);
    bulk.each_json.swap(bulk.each_line);
    return bulk;
  }
  // "index:data" of each item.
  static std::vector<std::string> all(const Bulk& bulk) {
    auto source = BulkSource::open(bulk);
    EXPECT_TRUE(source);
    std::vector<std::string> items;
    Item item;
    while (true) {
      const auto got = source->next(item);
      if (!got) return {got.error().message};
      if (*got != BulkSource::Got::item) return items;
      items.push_back(std::to_string(item.index) + ":" + item.data.dump());
    }
  }
  std::string path_;
};

using Strings = std::vector<std::string>;

TEST_F(BulkSourceTest, AnArrayIsOneNumberOrARangeWithAStep) {
  struct Row {
    const char* text;
    uint64_t first, last, step, size;
  };
  for (const Row& row :
       {Row{"7", 7, 7, 1, 1}, Row{"1-100", 1, 100, 1, 100}, Row{"1-100:2", 1, 100, 2, 50},
        Row{"2-8:3", 2, 8, 3, 3}, Row{"5-5", 5, 5, 1, 1}, Row{"1-9:100", 1, 9, 100, 1}}) {
    const auto range = parse_array(row.text);
    ASSERT_TRUE(range) << row.text;
    EXPECT_EQ(range->first, row.first);
    EXPECT_EQ(range->last, row.last);
    EXPECT_EQ(range->step, row.step);
    EXPECT_EQ(size_of(*range), row.size) << row.text;
  }
}

TEST_F(BulkSourceTest, WhatIsNoArrayIsRefusedWithAHint) {
  for (const char* text : {"", "-", "1-", "-5", "a", "1-b", "1-2-3", "1-9:0", "1-9:", "1-9:x",
                           "0-9", "0", "9-1", "1..9", " 1-9", "+1-9", "1-99999999999999999999"}) {
    const auto range = parse_array(text);
    ASSERT_FALSE(range) << text;
    EXPECT_EQ(range.error().code, Errc::usage);
    EXPECT_FALSE(range.error().hint.empty());
  }
}

TEST_F(BulkSourceTest, AnArrayMakesAnItemForEachIndexOfItsRange) {
  Bulk bulk;
  bulk.array = ArrayRange{2, 9, 3};
  EXPECT_EQ(all(bulk), (Strings{"2:{}", "5:{}", "8:{}"}));
  EXPECT_EQ(BulkSource::open(bulk)->total(), 3u);
}

TEST_F(BulkSourceTest, EmptyLinesAreSkippedButCounted) {
  EXPECT_EQ(all(lines("a\n\n\nb\n c \n")),
            (Strings{R"(1:{"text":"a"})", R"(4:{"text":"b"})", R"(5:{"text":" c "})"}));
}

TEST_F(BulkSourceTest, ALineIsTheBytesBeforeItsNewline) {
  EXPECT_EQ(all(lines("x\r\n{\"a\": 1}\nlast")),
            (Strings{R"(1:{"text":"x\r"})", R"(2:{"text":"{\"a\": 1}"})", R"(3:{"text":"last"})"}));
  EXPECT_EQ(all(lines("\xff\n")), (Strings{R"(1:{"text":{"$base64":"/w=="}})"}));
  EXPECT_EQ(all(lines("")), Strings{});
  EXPECT_EQ(all(lines("\n\n")), Strings{});
}

TEST_F(BulkSourceTest, ALineLongerThanOneReadIsOneLine) {
  const std::string longer(200'000, 'x');
  EXPECT_EQ(
      all(lines("a\n" + longer + "\nb\n")),
      (Strings{R"(1:{"text":"a"})", R"(2:{"text":")" + longer + R"("})", R"(3:{"text":"b"})"}));
}

TEST_F(BulkSourceTest, EachDocumentKeepsItsBytesAndBlankLinesAreSkipped) {
  auto source = BulkSource::open(documents("{\"a\":  1.50}\n \t\r\n[1]\n"));
  ASSERT_TRUE(source);
  Item item;
  ASSERT_EQ(*source->next(item), BulkSource::Got::item);
  EXPECT_EQ(item.raw, "{\"a\":  1.50}");
  EXPECT_EQ(item.index, 1u);
  ASSERT_EQ(*source->next(item), BulkSource::Got::item);
  EXPECT_EQ(item.data.dump(), "[1]");
  EXPECT_EQ(item.index, 3u);
  EXPECT_EQ(*source->next(item), BulkSource::Got::end);
}

TEST_F(BulkSourceTest, AMalformedDocumentIsNamedByItsLine) {
  auto source = BulkSource::open(documents("{}\n\n{\"a\": }\n"));
  ASSERT_TRUE(source);
  Item item;
  ASSERT_EQ(*source->next(item), BulkSource::Got::item);
  const auto got = source->next(item);
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().code, Errc::bad_input);
  EXPECT_NE(got.error().message.find("line 3 of"), std::string::npos) << got.error().message;
  EXPECT_EQ(got.error().message.find("line 1"), std::string::npos) << got.error().message;
}

TEST_F(BulkSourceTest, LookingAheadCountsAndJudgesAndChangesNothing) {
  auto source = BulkSource::open(lines("a\n\nb\nc\n"));
  ASSERT_TRUE(source);
  EXPECT_FALSE(source->total());
  uint64_t last = 0;
  ASSERT_TRUE(source->look_ahead([&](const Item& item) -> Result<void> {
    last = item.index;
    return {};
  }));
  EXPECT_EQ(last, 4u);
  EXPECT_EQ(source->total(), 3u);
  Item item;
  ASSERT_EQ(*source->next(item), BulkSource::Got::item);
  EXPECT_EQ(item.index, 1u);
  EXPECT_EQ(source->fd(), -1);

  auto another = BulkSource::open(lines("a\n"));
  const auto refused = another->look_ahead(
      [](const Item&) -> Result<void> { return fail(Errc::bad_input, "not that one"); });
  ASSERT_FALSE(refused);
}

TEST_F(BulkSourceTest, APipeIsReadAsFarAsItHasSomething) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  LineReader reader(ends[0], "stdin");
  std::string_view line;
  EXPECT_EQ(*reader.next(line), LineReader::Got::later);
  ASSERT_EQ(::write(ends[1], "one\ntw", 6), 6);
  ASSERT_EQ(*reader.next(line), LineReader::Got::line);
  EXPECT_EQ(line, "one");
  EXPECT_EQ(*reader.next(line), LineReader::Got::later);
  ASSERT_EQ(::write(ends[1], "o\n", 2), 2);
  ASSERT_EQ(*reader.next(line), LineReader::Got::line);
  EXPECT_EQ(line, "two");
  ASSERT_EQ(::write(ends[1], "rest", 4), 4);
  ::close(ends[1]);
  ASSERT_EQ(*reader.next(line), LineReader::Got::line);
  EXPECT_EQ(line, "rest");
  EXPECT_EQ(reader.lines(), 3u);
  EXPECT_EQ(*reader.next(line), LineReader::Got::end);
  EXPECT_EQ(*reader.next(line), LineReader::Got::end);
  ::close(ends[0]);
}

TEST_F(BulkSourceTest, ALineThatNoPayloadHoldsIsRefused) {
  const int zeros = ::open("/dev/zero", O_RDONLY | O_CLOEXEC);
  ASSERT_GE(zeros, 0);
  LineReader reader(zeros, "'/dev/zero'");
  std::string_view line;
  const auto got = reader.next(line);
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().code, Errc::too_large);
  EXPECT_NE(got.error().message.find("line 1 of '/dev/zero'"), std::string::npos);
  ::close(zeros);
}

TEST_F(BulkSourceTest, AMissingFileAndAFolderAreErrors) {
  Bulk bulk;
  bulk.each_line = path_ + ".missing";
  EXPECT_EQ(BulkSource::open(bulk).error().code, Errc::not_found);
  bulk.each_line = ::testing::TempDir();
  EXPECT_EQ(BulkSource::open(bulk).error().code, Errc::io);
}

}  // namespace
}  // namespace zgrid::cli
