// SPDX-License-Identifier: Apache-2.0
// The driver loaded into this process, so that the thread sanitizer sees its thread and ours together.
#include <dlfcn.h>
#include <gtest/gtest.h>

#include <array>
#include <condition_variable>
#include <cstring>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/secret.h"
#include "quipu/driver.h"

namespace {

using namespace quipu;

const struct quipu_driver& sim_driver() {
  static void* const library = ::dlopen(QUIPU_BINARY_DIR "/drivers/sim.so", RTLD_NOW | RTLD_LOCAL);
  static void* const symbol = library != nullptr ? ::dlsym(library, QUIPU_DRIVER_SYMBOL) : nullptr;
  if (symbol == nullptr) throw std::runtime_error(::dlerror());
  return *static_cast<const struct quipu_driver*>(symbol);
}

// What a device delivers, and the host that it sees.
class Receiver {
 public:
  Receiver() {
    m_host.abi = QUIPU_DRIVER_ABI;
    m_host.size = sizeof m_host;
    m_host.context = reinterpret_cast<struct quipu_host_context*>(this);
    m_host.log = log;
    m_host.deliver_block = deliver;
  }

  const struct quipu_host& host() const { return m_host; }

  template <class Condition>
  bool wait(Condition condition) {
    std::unique_lock lock(m_mutex);
    return m_changed.wait_for(lock, std::chrono::seconds(20), condition);
  }

  bool wait_for_blocks(std::size_t count) {
    return wait([&] { return m_blocks.size() >= count; });
  }

  std::string wait_for_endpoint() {
    wait([&] { return !m_endpoint.empty(); });
    const std::scoped_lock lock(m_mutex);
    return m_endpoint;
  }

  std::size_t blocks() {
    const std::scoped_lock lock(m_mutex);
    return m_blocks.size();
  }

  // How many blocks both have; false in `same` when one differs.
  std::size_t common_with(Receiver& other, bool& same) {
    const std::scoped_lock lock(m_mutex, other.m_mutex);
    std::size_t count = 0;
    for (const auto& [id, key] : m_blocks) {
      const auto found = other.m_blocks.find(id);
      if (found == other.m_blocks.end()) continue;
      ++count;
      same = same && key == found->second;
    }
    return count;
  }

  void set_full(bool full) {
    const std::scoped_lock lock(m_mutex);
    m_full = full;
  }

  bool wait_until_refused() {
    return wait([&] { return m_refused; });
  }

 private:
  static Receiver& self(struct quipu_host_context* context) { return *reinterpret_cast<Receiver*>(context); }

  static void log(struct quipu_host_context* context, std::uint32_t /*level*/, const char* text) {
    constexpr std::string_view kListens = "the simulated fibre listens at ";
    Receiver& receiver = self(context);
    const std::scoped_lock lock(receiver.m_mutex);
    if (std::string_view(text).starts_with(kListens)) receiver.m_endpoint = text + kListens.size();
    receiver.m_changed.notify_all();
  }

  static int deliver(struct quipu_host_context* context, const struct quipu_block* block) {
    Receiver& receiver = self(context);
    const std::scoped_lock lock(receiver.m_mutex);
    receiver.m_refused = receiver.m_full;
    receiver.m_changed.notify_all();
    if (receiver.m_full) return QUIPU_BUSY;
    std::array<std::uint8_t, 16> id{};
    std::memcpy(id.data(), block->id, id.size());
    EXPECT_TRUE(receiver.m_blocks.emplace(id, SecretBytes::copy_of({block->octets, block->octet_count})).second)
        << "delivered twice";
    return QUIPU_OK;
  }

  struct quipu_host m_host{};
  std::mutex m_mutex;
  std::condition_variable m_changed;
  std::map<std::array<std::uint8_t, 16>, SecretBytes> m_blocks;
  std::string m_endpoint;
  bool m_full = false;
  bool m_refused = false;
};

class OpenDevice {
 public:
  OpenDevice(Receiver& receiver, const char* role, const std::string& fibre) {
    const std::array<struct quipu_option, 3> options = {
        {{"role", role}, {"fibre", fibre.c_str()}, {"skr_bit_s", "50000000"}}};
    EXPECT_EQ(sim_driver().open(&receiver.host(), options.data(), options.size(), &m_device), QUIPU_OK);
    EXPECT_EQ(sim_driver().start(m_device), QUIPU_OK);
  }

  ~OpenDevice() { sim_driver().close(m_device); }

  OpenDevice(const OpenDevice&) = delete;
  OpenDevice& operator=(const OpenDevice&) = delete;

  struct quipu_device* get() const { return m_device; }

  struct quipu_telemetry telemetry() const {
    struct quipu_telemetry out{};
    out.size = sizeof out;
    EXPECT_EQ(sim_driver().telemetry(m_device, &out), QUIPU_OK);
    return out;
  }

  bool wait_for_state(std::uint32_t state) const {
    const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (telemetry().state != state) {
      if (std::chrono::steady_clock::now() > give_up) return false;
      std::this_thread::yield();
    }
    return true;
  }

  int inject(const char* scenario, const std::vector<struct quipu_option>& arguments) const {
    return sim_driver().inject(m_device, scenario, arguments.data(), arguments.size());
  }

 private:
  struct quipu_device* m_device = nullptr;
};

// Two devices with a fibre between them, and what they deliver.
struct SimulatedPair : testing::Test {
  // Until each end has so many.
  bool wait_for_blocks(std::size_t count) { return at_alice.wait_for_blocks(count) && at_bob.wait_for_blocks(count); }

  bool wait_for_more_blocks(std::size_t count) {
    return wait_for_blocks(std::max(at_alice.blocks(), at_bob.blocks()) + count);
  }

  // That both have, which have to be equal.
  std::size_t common_blocks() {
    bool same = true;
    const std::size_t count = at_alice.common_with(at_bob, same);
    EXPECT_TRUE(same);
    return count;
  }

  Receiver at_alice;
  Receiver at_bob;
  const OpenDevice alice{at_alice, "alice", "127.0.0.1:0"};
  const OpenDevice bob{at_bob, "bob", at_alice.wait_for_endpoint()};
};

TEST_F(SimulatedPair, StopsAndStartsWithoutRepeatingABlock) {
  for (const OpenDevice* device : {&bob, &alice}) {
    ASSERT_TRUE(wait_for_blocks(at_bob.blocks() + 5));
    EXPECT_EQ(device->telemetry().size, sizeof(struct quipu_telemetry));
    ASSERT_EQ(sim_driver().stop(device->get()), QUIPU_OK);
    EXPECT_EQ(device->telemetry().state, QUIPU_STATE_STOPPED);
    const std::size_t stopped = device == &bob ? at_bob.blocks() : at_alice.blocks();
    ASSERT_EQ(sim_driver().resume(device->get()), QUIPU_OK);  // without effect
    EXPECT_EQ(device == &bob ? at_bob.blocks() : at_alice.blocks(), stopped);
    ASSERT_EQ(sim_driver().start(device->get()), QUIPU_OK);
    EXPECT_EQ(sim_driver().start(device->get()), QUIPU_E_STATE);
  }
  ASSERT_TRUE(wait_for_more_blocks(5));
  EXPECT_GE(common_blocks(), 15U);
}

TEST(SimulatedDevice, OffersABlockAgainAfterBusy) {
  Receiver at_alice;
  Receiver at_bob;
  at_bob.set_full(true);
  const OpenDevice alice(at_alice, "alice", "127.0.0.1:0");
  const OpenDevice bob(at_bob, "bob", at_alice.wait_for_endpoint());
  ASSERT_TRUE(at_bob.wait_until_refused());
  EXPECT_EQ(at_bob.blocks(), 0U);
  at_bob.set_full(false);
  ASSERT_EQ(sim_driver().resume(bob.get()), QUIPU_OK);
  ASSERT_TRUE(at_bob.wait_for_blocks(10) && at_alice.wait_for_blocks(10));
  bool same = true;
  EXPECT_GE(at_alice.common_with(at_bob, same), 9U);
  EXPECT_TRUE(same);
}

TEST_F(SimulatedPair, ACutFibreStopsTheKeyAndARestoredOneBringsItBack) {
  ASSERT_TRUE(wait_for_blocks(1));
  ASSERT_EQ(bob.inject("fibre_cut", {}), QUIPU_OK);
  ASSERT_TRUE(alice.wait_for_state(QUIPU_STATE_LINK_DOWN) && bob.wait_for_state(QUIPU_STATE_LINK_DOWN));
  EXPECT_NE(std::string_view(bob.telemetry().detail).find("the fibre is cut"), std::string_view::npos);
  EXPECT_EQ(bob.telemetry().skr_bit_s, 0.0);
  ASSERT_EQ(bob.inject("fibre_restore", {}), QUIPU_OK);
  ASSERT_TRUE(wait_for_more_blocks(3));
  EXPECT_GT(common_blocks(), 0U);
}

TEST_F(SimulatedPair, AnEavesdropperEndsTheKey) {
  ASSERT_TRUE(wait_for_blocks(1));
  ASSERT_EQ(alice.inject("intercept", {{"fraction", "1"}}), QUIPU_OK);
  ASSERT_TRUE(alice.wait_for_state(QUIPU_STATE_ABORTED));
  EXPECT_GT(alice.telemetry().qber, 0.25);
  ASSERT_EQ(alice.inject("intercept", {{"fraction", "0"}}), QUIPU_OK);
  ASSERT_TRUE(wait_for_more_blocks(3));
}

TEST(SimulatedDevice, RefusesFaultsThatItDoesNotKnow) {
  Receiver receiver;
  const OpenDevice alice(receiver, "alice", "127.0.0.1:0");
  EXPECT_EQ(alice.inject("earthquake", {}), QUIPU_E_UNSUPPORTED);
  EXPECT_EQ(alice.inject("intercept", {}), QUIPU_E_ARGUMENT);
  EXPECT_EQ(alice.inject("intercept", {{"fraction", "1.5"}}), QUIPU_E_ARGUMENT);
  EXPECT_EQ(alice.inject("fibre_cut", {{"seconds", "1"}}), QUIPU_E_ARGUMENT);
  EXPECT_EQ(alice.inject("fibre_cut", {}), QUIPU_OK);
}

}  // namespace
