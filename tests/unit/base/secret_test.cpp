// SPDX-License-Identifier: Apache-2.0
#include "base/secret.h"

#include <gtest/gtest.h>
#include <linux/capability.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <concepts>
#include <ostream>
#include <vector>

namespace quipu {
namespace {

template <class T>
concept Printable = requires(std::ostream& out, const T& value) { out << value; };

static_assert(!Printable<SecretBytes>);
static_assert(!Printable<Secret<32>>);
static_assert(!std::copyable<SecretBytes> && std::movable<SecretBytes>);
static_assert(!std::copyable<Secret<32>> && std::movable<Secret<32>>);

TEST(Secret, StartsAsZeros) {
  const Secret<32> secret;
  for (const std::uint8_t octet : secret.view())
    EXPECT_EQ(octet, 0);
}

TEST(Secret, ComparesByContents) {
  Secret<32> a;
  const Secret<32> b = a.clone();
  EXPECT_TRUE(a == b);
  a.mutable_view()[31] = 1;
  EXPECT_FALSE(a == b);
}

TEST(SecretBytes, MovesWithoutCopying) {
  SecretBytes a = SecretBytes::copy_of(as_bytes("key"));
  const std::uint8_t* where = a.view().data();
  const SecretBytes b = std::move(a);
  EXPECT_EQ(b.view().data(), where);
  EXPECT_TRUE(a.empty());  // NOLINT(bugprone-use-after-move): the moved-from state is the subject
}

#ifndef QUIPU_SANITIZED
// The arena reuses the chunk that was freed last, so what a freed secret left behind can be looked at.
TEST(SecretBytes, IsWipedWhenFreed) {
  const std::uint8_t* where = nullptr;
  {
    const SecretBytes first = SecretBytes::copy_of(as_bytes("0123456789abcdef0123456789abcdef"));
    where = first.view().data();
  }
  auto* again = static_cast<std::uint8_t*>(secret_allocate(32));
  ASSERT_EQ(again, where);
  for (std::size_t i = 0; i < 32; ++i)
    EXPECT_EQ(again[i], 0) << i;
  secret_free(again, 32);
}
#endif

TEST(SecretBytes, EverySizeClassHoldsItsSize) {
  std::vector<SecretBytes> kept;
  for (std::size_t size : {1U, 31U, 32U, 33U, 64U, 1000U, 4095U, 4096U, 4097U, 32768U, 32769U, 70000U}) {
    SecretBytes secret(size);
    std::memset(secret.mutable_view().data(), static_cast<int>(kept.size()) + 1, size);
    kept.push_back(std::move(secret));
  }
  for (std::size_t i = 0; i < kept.size(); ++i)
    for (const std::uint8_t octet : kept[i].view())
      ASSERT_EQ(octet, i + 1);
}

TEST(SecretBytes, ManySecretsShareSlabsAndStayLocked) {
  if (!require_locked_secrets())
    GTEST_FAIL() << "this machine locks no memory at all: " << require_locked_secrets().error().text;
  std::vector<Secret<32>> many(10000);
  EXPECT_TRUE(require_locked_secrets().has_value());
}

#ifndef QUIPU_SANITIZED
// Takes away the right and the limit that let memory be locked.
void forbid_locking() {
  constexpr rlimit kNone{};
  ::setrlimit(RLIMIT_MEMLOCK, &kNone);
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  __user_cap_data_struct data[2]{};
  ::syscall(SYS_capset, &header, data);
}

TEST(SecretBytesDeathTest, MemoryThatCannotBeLockedLaterEndsTheProcess) {
  for (const std::size_t size : {std::size_t{32}, std::size_t{1} << 20U})
    EXPECT_DEATH(
        {
          if (!require_locked_secrets()) std::_Exit(0);
          forbid_locking();
          std::vector<SecretBytes> many;
          for (int i = 0; i < 10'000; ++i)
            many.emplace_back(size);
        },
        "cannot be locked against swapping any more");
}
#endif

TEST(ConstantTimeEqual, LengthsAndContentsCount) {
  EXPECT_TRUE(constant_time_equal({}, {}));
  EXPECT_TRUE(constant_time_equal(as_bytes("abc"), as_bytes("abc")));
  EXPECT_FALSE(constant_time_equal(as_bytes("abc"), as_bytes("abd")));
  EXPECT_FALSE(constant_time_equal(as_bytes("abc"), as_bytes("ab")));
}

}  // namespace
}  // namespace quipu
