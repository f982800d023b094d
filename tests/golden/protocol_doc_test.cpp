// docs/protocol.md says what the code does: messages, roles, errors, enumerations and limits.
// The key tables are checked by protocol_tables.py.
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <sstream>

#include "protocol/base/limits.h"
#include "protocol/describe.h"

namespace zgrid::protocol {
namespace {

using Rows = std::vector<std::vector<std::string>>;

// The rows of all tables between the heading and the next one, without heads and rules.
Rows rows_below(const std::string& heading) {
  std::ifstream file(ZGRID_PROTOCOL_MD);
  EXPECT_TRUE(file) << ZGRID_PROTOCOL_MD;
  Rows rows;
  bool inside = false;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("#")) inside = line == heading;
    if (!inside || !line.starts_with("| ") || line.starts_with("| ---")) continue;
    std::vector<std::string> cells;
    std::istringstream words(line.substr(1));
    for (std::string cell; std::getline(words, cell, '|');) {
      const size_t first = cell.find_first_not_of(' ');
      cells.push_back(first == std::string::npos
                          ? ""
                          : cell.substr(first, cell.find_last_not_of(' ') - first + 1));
    }
    rows.push_back(std::move(cells));
  }
  EXPECT_GT(rows.size(), 1u) << heading;
  if (!rows.empty()) rows.erase(rows.begin());
  return rows;
}

TEST(ProtocolDocument, ListsEveryMessageAndItsRoles) {
  std::map<int, std::vector<std::string>> documented;
  for (const auto& row : rows_below("## Messages and roles")) documented[std::stoi(row[0])] = row;
  for (int number = 0; number < 256; ++number) {
    const auto kind = static_cast<Kind>(number);
    if (message_name(kind) == "UNKNOWN") {
      EXPECT_FALSE(documented.contains(number)) << number;
      continue;
    }
    ASSERT_TRUE(documented.contains(number)) << message_name(kind);
    const auto& row = documented[number];
    EXPECT_EQ(row[1], message_name(kind));
    const auto yes = [](bool may) { return may ? "yes" : "–"; };
    EXPECT_EQ(row[2], yes(may_send(Role::worker, kind))) << row[1];
    EXPECT_EQ(row[3], yes(may_send(Role::client, kind))) << row[1];
    EXPECT_EQ(row[4], yes(may_send(Role::readonly, kind))) << row[1];
    // What no peer may say, the broker says; beats and goodbyes go both ways.
    const bool peers = may_send(Role::worker, kind) || may_send(Role::client, kind);
    EXPECT_EQ(row[5], yes(!peers || may_send(Role::broker, kind))) << row[1];
  }
}

TEST(ProtocolDocument, ListsEveryErrorWithItsExitCode) {
  std::map<std::string, std::string> exits;
  for (const auto& row : rows_below("## Exit codes")) exits[row[0]] = row[1];
  const Rows rows = rows_below("## Errors");
  ASSERT_EQ(rows.size(), enum_max(Errc{}));
  for (size_t i = 0; i < rows.size(); ++i) {
    const auto code = static_cast<Errc>(i + 1);
    EXPECT_EQ(rows[i][0], std::to_string(i + 1));
    EXPECT_EQ(rows[i][1], errc_name(code));
    EXPECT_EQ(rows[i][2], std::to_string(exit_code(code))) << rows[i][1];
    EXPECT_EQ(rows[i][3], is_retryable(code) ? "yes" : "no") << rows[i][1];
    EXPECT_FALSE(rows[i][4].empty()) << rows[i][1];
    EXPECT_TRUE(exits.contains(rows[i][2])) << rows[i][2];
  }
}

template <class E>
std::string listed(std::string_view (*name)(E)) {
  std::string text;
  for (uint64_t i = 0; i <= enum_max(E{}); ++i) {
    if (i > 0) text += ", ";
    text += std::to_string(i) + " " + std::string(name(static_cast<E>(i)));
  }
  return text;
}

TEST(ProtocolDocument, ListsEveryEnumerator) {
  std::map<std::string, std::string> documented;
  for (const auto& row : rows_below("## Enumerations")) documented[row[0]] = row[1];
  EXPECT_EQ(documented["JobKind"], listed<JobKind>(kind_name));
  EXPECT_EQ(documented["JobStatus"], listed<JobStatus>(status_name));
  EXPECT_EQ(documented["JobErrorKind"], listed<JobErrorKind>(job_error_name));
  // Of the others, which have no names to print, the number of them.
  const std::map<std::string, uint64_t> last{{"PayloadTag", enum_max(PayloadTag{})},
                                             {"Target.Mode", enum_max(Target::Mode{})},
                                             {"WedgedAction", enum_max(WedgedAction{})},
                                             {"EventKind", enum_max(EventKind{})},
                                             {"Effect", enum_max(Effect{})},
                                             {"InHand.State", enum_max(InHand::State{})},
                                             {"Query.What", enum_max(Query::What{})},
                                             {"Control.Op", enum_max(Control::Op{})},
                                             {"Abort.Reason", enum_max(Abort::Reason{})},
                                             {"FinalAck.Verdict", enum_max(FinalAck::Verdict{})}};
  for (const auto& [name, number] : last) {
    const std::string& text = documented[name];
    EXPECT_EQ(text.substr(text.rfind(',') + 2, 2), std::to_string(number) + " ") << name;
  }
}

TEST(ProtocolDocument, ListsTheLimits) {
  using namespace zgrid::limits;
  const std::map<std::string, uint64_t> limits{{"kFrameBytesMax", kFrameBytesMax},
                                               {"kPayloadBytesMax", kPayloadBytesMax},
                                               {"kPayloadFramesMax", kPayloadFramesMax},
                                               {"kChunkBytes", kChunkBytes},
                                               {"kInlinePayloadBytesMax", kInlinePayloadBytesMax},
                                               {"kHeaderBytesTarget", kHeaderBytesTarget},
                                               {"kSpecBytesMax", kSpecBytesMax},
                                               {"kBatchItemsMax", kBatchItemsMax},
                                               {"kIdsMax", kIdsMax},
                                               {"kInHandMax", kInHandMax},
                                               {"kMalformedMax", kMalformedMax},
                                               {"kWindowMax", kWindowMax},
                                               {"kSlotsMax", kSlotsMax},
                                               {"kPriorityMax", kPriorityMax},
                                               {"kRetriesMax", kRetriesMax},
                                               {"kLossesMax", kLossesMax},
                                               {"kLossesBeforeAlone", kLossesBeforeAlone},
                                               {"kBroadcastMax", kBroadcastMax}};
  const Rows rows = rows_below("## Limits");
  EXPECT_EQ(rows.size(), limits.size());
  for (const auto& row : rows) {
    ASSERT_TRUE(limits.contains(row[0])) << row[0];
    EXPECT_TRUE(row[1].starts_with(std::to_string(limits.at(row[0])) + " ")) << row[0];
  }
}

}  // namespace
}  // namespace zgrid::protocol
