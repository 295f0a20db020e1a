// SPDX-License-Identifier: Apache-2.0
#include "base/encoding.h"

#include <gtest/gtest.h>

#include "base/ids.h"
#include "base/result.h"

namespace quipu {
namespace {

TEST(Base64, VectorsOfRfc4648) {
  const std::pair<std::string_view, std::string_view> vectors[] = {{"", ""},
                                                                   {"f", "Zg=="},
                                                                   {"fo", "Zm8="},
                                                                   {"foo", "Zm9v"},
                                                                   {"foob", "Zm9vYg=="},
                                                                   {"fooba", "Zm9vYmE="},
                                                                   {"foobar", "Zm9vYmFy"}};
  for (const auto& [plain, text] : vectors) {
    EXPECT_EQ(to_base64(as_bytes(plain)), text);
    ASSERT_TRUE(from_base64(text).has_value()) << text;
    EXPECT_EQ(as_text(*from_base64(text)), plain);
    EXPECT_EQ(as_text(secret_to_base64(as_bytes(plain)).view()), text);
    EXPECT_EQ(as_text(secret_from_base64(text)->view()), plain);
  }
}

TEST(Base64, RefusesWhatDoesNotEncodeBack) {
  for (const std::string_view text : {"Zg", "Zg=", "Zh==", "Zm9v\n", " Zm9v", "Zm9=v", "====", "Zm9v====", "Zm9-"}) {
    EXPECT_FALSE(from_base64(text).has_value()) << text;
    EXPECT_FALSE(secret_from_base64(text).has_value()) << text;
  }
}

TEST(Hex, RoundTripAndRefusals) {
  EXPECT_EQ(to_hex(Bytes{0, 255, 16}), "00ff10");
  EXPECT_EQ(from_hex("00FF10"), (Bytes{0, 255, 16}));
  EXPECT_EQ(from_hex(""), Bytes{});
  for (const std::string_view text : {"0", "0g", "00 ", "0:00"})
    EXPECT_FALSE(from_hex(text).has_value()) << text;
}

TEST(Uuid, TextRoundTrip) {
  const auto uuid = Uuid::parse("3F2504E0-4F89-41D3-9A0C-0305E82C3301");
  ASSERT_TRUE(uuid.has_value());
  EXPECT_EQ(uuid->text(), "3f2504e0-4f89-41d3-9a0c-0305e82c3301");
  for (const std::string_view text : {"", "3f2504e04f8941d39a0c0305e82c3301", "3f2504e0-4f89-41d3-9a0c-0305e82c330",
                                      "3f2504e0-4f89-41d3-9a0c-0305e82c330g", "3f2504e-04f89-41d3-9a0c-0305e82c3301"})
    EXPECT_FALSE(Uuid::parse(text).has_value()) << text;
}

TEST(Uuid, RandomOnesSayVersion4) {
  const Uuid uuid = Uuid::from_random(
      {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff});
  EXPECT_EQ(uuid.text(), "ffffffff-ffff-4fff-bfff-ffffffffffff");
}

Result<int> half(int n) {
  if (n % 2 != 0) return fail(Errc::out_of_range, "odd");
  return n / 2;
}

Result<int> quarter(int n) {
  QUIPU_TRY_ASSIGN(const int once, half(n));
  QUIPU_TRY(half(once));
  return half(once);
}

TEST(Result, TryPassesTheErrorOn) {
  EXPECT_EQ(*quarter(8), 2);
  EXPECT_EQ(quarter(6).error(), (Error{Errc::out_of_range, "odd"}));
  EXPECT_EQ(fail_at("line 3", Error{Errc::malformed, ""}).error().text, "line 3: malformed");
}

}  // namespace
}  // namespace quipu
