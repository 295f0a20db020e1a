// SPDX-License-Identifier: Apache-2.0
#include "config/lab_topology.h"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

#include "samples.h"

namespace quipu::config {
namespace {

using testing::HasSubstr;

std::string shipped(const std::string& name) {
  std::ifstream in(QUIPU_SOURCE_DIR "/packaging/lab/" + name);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::string refusal(std::string_view from, std::string_view to) {
  return problems_of(parse_lab_topology(with(shipped("line-4.toml"), from, to)));
}

TEST(LabTopology, ReadsWhatIsShipped) {
  const auto line = parse_lab_topology(shipped("line-4.toml"));
  ASSERT_TRUE(line.has_value()) << problems_of(line);
  EXPECT_EQ(line->sites, (std::vector<std::string>{"a", "b", "c", "d"}));
  EXPECT_EQ(line->trusted_nodes, (std::vector<std::string>{"b", "c"}));
  EXPECT_EQ(line->links.size(), 3U);
  EXPECT_EQ(line->relays, (std::vector<LabRelayConfig>{{.between = {"a", "d"}, .stock_bit = 1048576, .paths = 1}}));
  EXPECT_EQ(line->tunnels, (std::vector<LabPair>{{"a", "d"}}));
  const auto ring = parse_lab_topology(shipped("ring-5.toml"));
  ASSERT_TRUE(ring.has_value()) << problems_of(ring);
  EXPECT_EQ(ring->links.size(), 5U);
  const auto paths = parse_lab_topology(shipped("two-paths.toml"));
  ASSERT_TRUE(paths.has_value()) << problems_of(paths);
  EXPECT_EQ(paths->links.size(), 5U);
  EXPECT_EQ(paths->relays, (std::vector<LabRelayConfig>{{.between = {"a", "c"}, .stock_bit = 1048576, .paths = 2}}));
  const auto vendors = parse_lab_topology(shipped("two-vendors.toml"));
  ASSERT_TRUE(vendors.has_value()) << problems_of(vendors);
  ASSERT_EQ(vendors->links.size(), 2U);
  EXPECT_EQ(vendors->links[0].number, 1U);
  EXPECT_EQ(vendors->links[1].number, 2U);
  EXPECT_EQ(vendors->pools, (std::vector<LabPoolConfig>{{.between = {"a", "b"}, .combiner = "xor"}}));
}

TEST(LabTopology, RefusesWhatDoesNotFitTogether) {
  EXPECT_THAT(refusal("\"d\"]", "\"D\"]"), HasSubstr("\"D\" is not a lower-case letter"));
  EXPECT_THAT(refusal("\"d\"]", "\"c\"]"), HasSubstr("site \"c\""));
  EXPECT_THAT(refusal("trusted_nodes = [\"b\"", "trusted_nodes = [\"x\""), HasSubstr("there is no site \"x\""));
  for (const auto& [what, by] : {std::pair{"trusted_nodes = [\"b\", \"c\"]", "trusted_nodes = [\"c\"]"},
                                 {"[[link]]\nbetween = [\"b\", \"c\"]\n", ""}})
    EXPECT_THAT(refusal(what, by), HasSubstr("no way leads from one to the other"));
  EXPECT_THAT(refusal("[[relay]]", "[[relay]]\nbetween = [\"d\", \"a\"]\n[[relay]]"), HasSubstr("there are 2 relays"));
  EXPECT_THAT(refusal("[[relay]]", "[[pool]]\nbetween = [\"a\", \"b\"]\ncombiner = \"xor\"\n[[relay]]"),
              HasSubstr("there are not two links"));
  EXPECT_THAT(refusal("between = [\"b\", \"c\"]", "between = [\"b\", \"b\"]"), HasSubstr("both ends are"));
  EXPECT_THAT(refusal("[[relay]]\nbetween = [\"a\", \"d\"]", ""), HasSubstr("these sites have no keys"));
}

}  // namespace
}  // namespace quipu::config
