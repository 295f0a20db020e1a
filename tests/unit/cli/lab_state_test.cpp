// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>

#include "cli/lab/lab.h"
#include "support/scratch.h"

namespace quipu::cli::lab {
namespace {

// No laboratory of that name has network namespaces here: only the folder is there.
constexpr const char* kId = "unittest";

TEST(LabState, ComesBackAsItWasSaved) {
  const test::Scratch scratch;
  lab::Run run = plan_run(kId, scratch.root()).value();
  std::filesystem::create_directories(run.folder);
  run.first_exec_ns = 17;
  run.sites[0].stopped = true;
  run.sites[1].processes = {{4'000'001, 5}};
  ASSERT_TRUE(save_run(run).has_value());
  const auto loaded = load_run(kId, scratch.root());
  ASSERT_TRUE(loaded.has_value()) << loaded.error().text;
  EXPECT_EQ(to_json(*loaded), to_json(run));
}

TEST(LabState, SaysWhichSiteThereIsNot) {
  const test::Scratch scratch;
  EXPECT_EQ(stop_site(kId, scratch.root(), "a").error().code, Errc::not_found);
  lab::Run run = plan_run(kId, scratch.root()).value();
  std::filesystem::create_directories(run.folder);
  ASSERT_TRUE(save_run(run).has_value());
  EXPECT_EQ(stop_site(kId, scratch.root(), "z").error().text,
            "laboratory 'unittest' has no site 'z': its sites are a, b");
  run.taken_down = true;
  ASSERT_TRUE(save_run(run).has_value());
  EXPECT_EQ(stop_site(kId, scratch.root(), "a").error().code, Errc::conflict);
}

TEST(LabState, KnowsTheSitesOfItsTopology) {
  const test::Scratch scratch;
  config::LabTopology topology{
      .sites = {"a", "b", "d"},
      .trusted_nodes = {"b"},
      .links = {{.between = {"a", "b"}, .options = {}}, {.between = {"b", "d"}, .options = {}}},
      .relays = {{.between = {"a", "d"}, .stock_bit = 8192}},
      .tunnels = {{"a", "d"}}};
  const lab::Run run = plan_run(kId, scratch.root(), topology).value();
  std::filesystem::create_directories(run.folder);
  ASSERT_TRUE(save_run(run).has_value());
  const auto loaded = load_run(kId, scratch.root());
  ASSERT_TRUE(loaded.has_value()) << loaded.error().text;
  ASSERT_EQ(loaded->sites.size(), 3U);
  EXPECT_EQ(loaded->sites[1].daemons, 1U) << "a site without a tunnel runs no quipud";
  EXPECT_EQ(loaded->site("d").underlay_address, "192.0.2.4");
  EXPECT_EQ(to_json(*loaded), to_json(run));
}

TEST(LabState, ADamagedOneCanBeRemoved) {
  const test::Scratch scratch;
  for (const std::string_view damage :
       {"", "{", "[]", "{}", R"({"first_exec_ns":"x"})", R"({"first_exec_ns":1,"sites":[{"processes":[[1]]}]})",
        R"({"first_exec_ns":1,"sites":[{"processes":[[4000001,1]]}]})",
        R"({"first_exec_ns":1,"taken_down":false,"sites":[{"site":"/","daemons":2,"processes":[[4000001,1]]}]})"}) {
    const lab::Run run = plan_run(kId, scratch.root()).value();
    std::filesystem::create_directories(run.folder);
    std::ofstream(run.folder / "run.json") << damage;
    const auto loaded = load_run(kId, scratch.root());
    ASSERT_TRUE(loaded.has_value()) << damage;
    EXPECT_TRUE(loaded->sites.empty()) << damage;
    const auto removed = down(kId, scratch.root(), false);
    ASSERT_TRUE(removed.has_value()) << damage << ": " << removed.error().text;
    EXPECT_FALSE(std::filesystem::exists(run.folder)) << damage;
  }
}

TEST(LabState, AFifoInItsPlaceHoldsNobodyUp) {
  const test::Scratch scratch;
  const lab::Run run = plan_run(kId, scratch.root()).value();
  std::filesystem::create_directories(run.folder);
  ASSERT_EQ(::mkfifo((run.folder / "run.json").c_str(), 0600), 0);
  EXPECT_TRUE(load_run(kId, scratch.root()).has_value());
  EXPECT_TRUE(down(kId, scratch.root(), false).has_value());
  EXPECT_FALSE(std::filesystem::exists(run.folder));
}

TEST(LabState, WhatGoesWhileAllAreListedIsLeftOut) {
  const test::Scratch scratch;
  for (const char* id : {"early", "late", "middle"})
    std::filesystem::create_directories(plan_run(id, scratch.root()).value().folder);
  const auto ids = known_runs(scratch.root());
  EXPECT_EQ(ids, (std::vector<std::string>{"early", "late", "middle"}));
  std::filesystem::remove(plan_run("late", scratch.root()).value().folder);
  const auto runs = load_runs(ids, scratch.root());
  ASSERT_EQ(runs.size(), 2U);
  EXPECT_EQ(runs[0].id, "early");
  EXPECT_EQ(runs[1].id, "middle");
}

}  // namespace
}  // namespace quipu::cli::lab
