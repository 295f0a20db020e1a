// SPDX-License-Identifier: Apache-2.0
#include "crypto/kem.h"

#include <gtest/gtest.h>

#include "crypto/hash.h"
#include "crypto/self_test.h"
#include "support/fixed_rng.h"
#include "support/hex.h"

namespace quipu::crypto {
namespace {

// Computed by an implementation of FIPS 203 that shares no code with OpenSSL (noble-post-quantum 0.7.1, JavaScript).
// Case i: d || z = SHA-512("seed i"), m = first half of SHA-512("message i"). The first two columns are the first half
// of SHA-512 of the encapsulation key and of the ciphertext, the third is the shared secret, the fourth what
// decapsulation gives after bit i mod 8 of octet 97 i mod 1088 of the ciphertext was flipped.
struct Vector {
  std::string_view encapsulation_key;
  std::string_view ciphertext;
  std::string_view shared_secret;
  std::string_view rejected;
};

constexpr Vector kVectors[] = {
    {"3fd2a0912d168b19675e571911361397f05555afbe437a5e1007757f7d65b29e",
     "3411ac57f1741fc5d4630b8206f86474c80092b325ae785bbad2ecc0d786921a",
     "d3e5379487ba82659518d0cd60c11b5b912e79b92663dfa0b8138e8fbc4d7512",
     "71403a93e7a9ed3cd88e4d473f9bcbf87332427e73a5651ebd61f31e2e00a81d"},
    {"5dfcb029648b797d8f952b8406770f7c10acdd2e82c3082d1adbed8ba0da2359",
     "d10a3157d1e1bdf1d44bfc1f76a4dd59d502d10e71ec958b35c59b89bef70d0f",
     "afcba0856913900b530161ac1278660dd53326cf680097bd02892cc4733df847",
     "633712b809d48de8dfde910ec821058eb58bab2da7ff7aedf911a958ed677bd8"},
    {"342dd576788dbb5a92d164396003e3d508eab0dbcd2c1f4053622e4fb0a32893",
     "7a5e75059ba9c6f9c6c015b341498b29cae535718df42873a3e8c83720e6dac6",
     "7285f7d34b91fe0c207fab3ce102b51bddf5135e1744a2d46a44834fa70ce3b0",
     "70bd6ab19d390621895ba3b59b46a67c1a4f4ce2de8c14b54c8a93c971928389"},
    {"95d2900d81251879a5c5ae6e6109d97404b14d9c07b26c87b8e0f6cd1fe0add8",
     "aa73494b764499c96f036e466c6b05c4113f995820d8c37b5ce54c0f1c87cfaa",
     "a1e1edc620104a7bbd5f5a3a14d4f8bc6ddbccc9f8a040dfc8abc849220e8e06",
     "def82bc87601a7a9a91c8bae4422975393bf751d91ffc5b0bd50af24b9e36c66"},
    {"025786857cb2c161b8babf71f3bba53980fb482b467912eaf586d3f28c690085",
     "47363e1d91c4d0070d4931dbbd9b4e07f2821982cce3f6ad2ff21839fe189f3b",
     "47f6340e1175e8b602b936dd8e25ecee12a7dda58c219437cbc350fbabb28e00",
     "52807f1f8bced028775766000489d06d0db8f9d6d817c958182d11ed0fd78576"},
    {"c598bc0321a7c9542abee2f49f0048d733ac055b1f1d7dcce4777a46850d891e",
     "7b00eb66f7edb3743657daa9ddee8af65d6cbfafb01debd2fbc9285965d0d780",
     "6ace6be641f424fa9dc78401a389780e3befb0a52b0caf257b815b71427ac3a7",
     "e249459bcab9bdc87efa3d8dd468a80aeb05106e58fbf8d2dd8f7c777273ad02"},
    {"6721fccd48a986a3bff6fcaab74efa351bd73a96fe3776bd63f5da0201f78017",
     "5a89514cc60a60194035d2f389e3ee681e682e6898f67a8f645b9922e7fd89d7",
     "a08d672dc453570399b3f5e94d37eaec8a9b343b18a98c16d63241a3b3957f56",
     "f0f376de1034e2086f9082c1736a9255221139a190bf1fc8eb9f3e58b9a99abe"},
    {"e4f79a597d4036df1b6112cf26fa1ca87a902d002d7278226ac8f282808c7aa0",
     "79479434eae5e1893c7d9f06248b712204e906554ea06ea09b1f79ff3c13ed4f",
     "8838c92f64c4c6af23808ce32b16abb3c21936e42d28de03f14723a7f458e6aa",
     "e891196e11fc75d45d471d403582cc164a8704ae94045041474f44e61269c379"},
    {"67974fb87ea18d4a684122e3249fe887b80c3f9a7a66e089b72c68cd0ab976d4",
     "87414c1e92b07d2e9cdab71ea7f8d2a52e7f96ad3a61af2a5b2abba26550396e",
     "1ac372fde84bc20228a6fda619fb48e4cc135c87ed902b7f2fa20be9cede31b7",
     "9d4c50be4f917d852019a7828062a077d02241532918093229e30c51ed79c7ff"},
    {"24f2c98cd38a13bb15d51bc37aefa2e34f1624acc4e054d61ad495a0eaa59e7a",
     "b0a8b310a72b9282c95f64c003add1487a8d8e5106b21802e4edd987cf44f7b6",
     "92cd9df928ccc9ce8c361235b6dd79f7042a4b8d4d12216eda2d77cdf030c1db",
     "f7a093731db128cd465620a42edbb31c310226565f14cdc7a81da51095b0fc1c"},
    {"98a742333d5fef6a9c472badf10c3a2802bc2219a6aae1e1d9569079ad83b58a",
     "19366b5682b919d6f1fb635dffaadea8a3c6cfc3a6461703ce4daf2ef7fd6a64",
     "eccfd4caf0e6cd28e721278bc0b61b91a8ef2d5cd85f898790c73a4dbd6559fb",
     "56098faf05d37c8782450dbda0b52545049924976f213ca68905de640e1890df"},
    {"374f6591d9c6eda8ceb5c540dd60e9f1f649bd5f2d732d2b532a1e49fe57ce0f",
     "28621a71df995a370039f96f2f3b8414deb37b12dac8bd172e49b845a161acf1",
     "60e0f3680b3cfed7604b5987427be1db7af57790be4c44d6123125f9fb29d6cd",
     "da0ee59c75b78eef15e8867596c3c6729f8648ce75011d80d3834f3ce87d0f37"},
    {"8d91605bfc26b77911bf83b816e4d4c4d1120a237141153fb3088a3a8689b43e",
     "f9cfab9681b7e03b59c153b7779fcef5c3adfed866851fb4178d0f2da36e5f0a",
     "5bae584ae9325d1f9b202d13ff5b534ff50efa3db83dd308c3bdad0634dab5da",
     "b3de135ad2036900c2ba01236f8b3d0261b97192e323845816a0a108eb238aff"},
    {"dcf7b5e702dbe6e8567811caf769d8b41ff45940d4d0039408d0b4fddd1b81e3",
     "9687be8ba4a17c3e52ac80832cfd328f3d50a81b9c1c0fdd98884a27ef5a8929",
     "23aa9bc5a00caccba8af54cef1d14cdcb69dc68436d548c5f0fca1be68aed1b8",
     "6c5112c8011d98133c174f7ffcfb03a7b0c7ed574ed0515f0fde57edd7ae4fee"},
    {"04d0ed75ef0539c10e28c4ea5d80d0306fbb15e270a40e5c93ab8119e46765ef",
     "eaae8b02727053ca3908c7c0e2d72c54113115f85f344670fbd7cdd75025f1a8",
     "57d2c9fead4fc7a8be5e5fe3111e2860548b5f6271fae5592bcffe7ac4263a37",
     "3054492b80fdcb3f8b637687b1afcbf4529033c724850626e37f96e577ac3d99"},
    {"3c75ce7b9f7b1d8b9ab5232bafe24045d93ab196868a7628af153bcbdab76739",
     "fc63b35ed9814912e4c69415f303525aed58e2b7bfc02ceb53cec73f4f18f829",
     "e7642e270897c6501998fcffaf4f8b4594d2c47792f1ac84f5f74d56b618f01c",
     "f44a87d48f0fc106b2a0825fc5f991622eb2b05abbc0e60e0b8f9100a829b58f"},
};

ByteView half(const Hash& hash) {
  return ByteView(hash).first(32);
}

Bytes numbered(std::string_view name, std::size_t i, std::size_t size) {
  const Hash hash = sha512({as_bytes(std::string(name) + " " + std::to_string(i))});
  return {hash.begin(), hash.begin() + static_cast<std::ptrdiff_t>(size)};
}

TEST(MlKem, AgreesWithAnIndependentImplementation) {
  for (std::size_t i = 0; i < std::size(kVectors); ++i) {
    test::ScriptedRng seed(numbered("seed", i, 64));
    test::ScriptedRng message(numbered("message", i, 32));
    const KemKeyPair pair = generate_kem(seed);
    EXPECT_EQ(to_hex(half(sha512({pair.encapsulation_key}))), kVectors[i].encapsulation_key) << i;
    auto made = encapsulate(pair.encapsulation_key, message);
    ASSERT_TRUE(made);
    EXPECT_EQ(to_hex(half(sha512({made->ciphertext}))), kVectors[i].ciphertext) << i;
    EXPECT_EQ(to_hex(made->shared_secret.view()), kVectors[i].shared_secret) << i;
    const auto opened = decapsulate(pair.seed, made->ciphertext);
    ASSERT_TRUE(opened);
    EXPECT_EQ(*opened, made->shared_secret);
    made->ciphertext[i * 97 % kKemCiphertextSize] ^= static_cast<std::uint8_t>(1U << (i % 8));
    const auto rejected = decapsulate(pair.seed, made->ciphertext);
    ASSERT_TRUE(rejected);
    EXPECT_EQ(to_hex(rejected->view()), kVectors[i].rejected) << i;
  }
}

TEST(MlKem, RandomnessDecidesEverything) {
  SystemRng rng;
  const KemKeyPair first = generate_kem(rng);
  const KemKeyPair second = generate_kem(rng);
  EXPECT_NE(first.encapsulation_key, second.encapsulation_key);
  const auto a = encapsulate(first.encapsulation_key, rng);
  const auto b = encapsulate(first.encapsulation_key, rng);
  ASSERT_TRUE(a && b);
  EXPECT_NE(a->ciphertext, b->ciphertext);
  EXPECT_NE(a->shared_secret, b->shared_secret);
  const auto other = decapsulate(second.seed, a->ciphertext);
  ASSERT_TRUE(other);
  EXPECT_NE(*other, a->shared_secret);
}

// FIPS 203 section 7.2: each 12-bit coefficient must be below q = 3329.
TEST(MlKem, RefusesCoefficientsBeyondTheModulus) {
  test::SeededRng rng("modulus");
  const KemKeyPair pair = generate_kem(rng);
  for (const std::size_t coefficient : {0U, 1U, 400U, 767U}) {
    KemEncapsulationKey key = pair.encapsulation_key;
    const std::size_t octet = coefficient / 2 * 3;
    if (coefficient % 2 == 0) {  // low octet, then low half of the next
      key[octet] = 0x01;
      key[octet + 1] = static_cast<std::uint8_t>((key[octet + 1] & 0xf0U) | 0x0dU);
    } else {  // high half of the middle octet, then the last
      key[octet + 1] = static_cast<std::uint8_t>((key[octet + 1] & 0x0fU) | 0x10U);
      key[octet + 2] = 0xd0;
    }
    EXPECT_EQ(encapsulate(key, rng).error(), Errc::bad_key) << coefficient;
  }
}

TEST(SelfTest, Passes) {
  const auto result = self_test();
  EXPECT_TRUE(result) << result.error().text;
}

}  // namespace
}  // namespace quipu::crypto
