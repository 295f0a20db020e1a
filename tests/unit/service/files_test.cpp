// SPDX-License-Identifier: Apache-2.0
#include "service/files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

#include "base/encoding.h"
#include "support/scratch.h"

namespace quipu::service {
using test::Environment;
using test::Scratch;

namespace {

using testing::HasSubstr;

constexpr std::string_view kLine = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n";

TEST(KeyFile, ReadsOneLineOfBase64) {
  const Scratch scratch;
  for (const std::string_view end : {"", "\n", "\r\n"}) {
    const auto key = read_key_file<32>(scratch.write("k", std::string(kLine.substr(0, 44)) + std::string(end), 0600));
    ASSERT_TRUE(key.has_value()) << key.error().text;
    EXPECT_EQ(key->view()[31], 31);
  }
}

TEST(KeyFile, RefusesOneThatOthersMayRead) {
  const Scratch scratch;
  for (const mode_t mode : {0640U, 0604U, 0620U, 0666U}) {
    const auto key = read_key_file<32>(scratch.write("k", kLine, mode));
    ASSERT_FALSE(key.has_value());
    EXPECT_EQ(key.error().code, Errc::not_permitted);
    EXPECT_THAT(key.error().text, HasSubstr("chmod 600"));
  }
  EXPECT_TRUE(read_key_file<32>(scratch.write("k", kLine, 0400)).has_value());
}

TEST(KeyFile, RefusesOneOfAnotherUser) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can give a file away";
  const Scratch scratch;
  const std::string file = scratch.write("k", kLine, 0600);
  ASSERT_EQ(::chown(file.c_str(), 12345, static_cast<gid_t>(-1)), 0);
  EXPECT_THAT(read_key_file<32>(file).error().text, HasSubstr("belongs to user 12345"));
}

TEST(KeyFile, RefusesOtherContentsWithoutShowingThem) {
  const Scratch scratch;
  for (const std::string_view contents :
       {"", "\n", "AAEC\n", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8\n",
        " AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n\n",
        "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\nAAEC"}) {
    const auto key = read_key_file<32>(scratch.write("k", contents, 0600));
    ASSERT_FALSE(key.has_value()) << contents;
    EXPECT_THAT(key.error().text, HasSubstr(scratch.path("k")));
    EXPECT_THAT(key.error().text, testing::Not(HasSubstr("AAEC")));
  }
}

// What a template or an erased file leaves is no key.
TEST(KeyFile, RefusesOctetsThatAreAllAlike) {
  const Scratch scratch;
  for (const std::uint8_t octet : Bytes{0x00, 0x01, 0xff}) {
    const auto key = read_key_file<32>(scratch.write("k", to_base64(Bytes(32, octet)) + "\n", 0600));
    ASSERT_FALSE(key.has_value());
    EXPECT_EQ(key.error().code, Errc::bad_key);
    EXPECT_THAT(key.error().text, HasSubstr(scratch.path("k")));
    EXPECT_THAT(key.error().text, HasSubstr("alike"));
  }
}

TEST(File, RefusesWhatIsNotARegularFileOrTooLong) {
  const Scratch scratch;
  ASSERT_EQ(::mkfifo(scratch.path("fifo").c_str(), 0600), 0);
  EXPECT_THAT(read_secret_file(scratch.path("fifo"), 10).error().text, HasSubstr("not a regular file"));
  EXPECT_EQ(read_text_file(scratch.root(), 10).error().code, Errc::malformed);
  EXPECT_EQ(read_text_file(scratch.path("absent"), 10).error().code, Errc::io);
  EXPECT_EQ(read_text_file(scratch.write("long", "12345678901", 0644), 10).error().code, Errc::too_large);
  EXPECT_EQ(read_text_file(scratch.write("fits", "1234567890", 0644), 10), "1234567890");
}

TEST(Credential, ComesFromTheServiceManagersFolder) {
  const Scratch scratch;
  EXPECT_THAT(read_key_file<32>("credential:k").error().text, HasSubstr("LoadCredential=k:FILE"));
  EXPECT_THAT(read_key_file<32>("credential:quipu_").error().text, HasSubstr("LoadCredential=quipu_:FILE"));
  const Environment environment("CREDENTIALS_DIRECTORY", scratch.root());
  scratch.write("k", kLine, 0440);
  EXPECT_TRUE(read_key_file<32>("credential:k").has_value());
  scratch.write("open", kLine, 0444);
  EXPECT_EQ(read_key_file<32>("credential:open").error().code, Errc::not_permitted);
  for (const std::string_view name : {"credential:", "credential:../k", "credential:..", "credential:a/b"})
    EXPECT_EQ(resolve_file(name).error().code, Errc::malformed) << name;
}

TEST(Credential, IsToldByItsWholeNameWhenThePrefixIsForgotten) {
  const Scratch scratch;
  const Environment environment("CREDENTIALS_DIRECTORY", scratch.root());
  scratch.write("quipu_dc-b.psk", kLine, 0440);
  EXPECT_EQ(read_key_file<32>("credential:dc-b.psk").error().text,
            "credential:dc-b.psk: there is none of this name; did you mean \"credential:quipu_dc-b.psk\"?");
  scratch.write("kms_store.key", kLine, 0440);
  EXPECT_THAT(read_key_file<32>("credential:store.key").error().text,
              HasSubstr("did you mean \"credential:kms_store.key\"?"));
  EXPECT_THAT(read_key_file<32>("credential:other").error().text, HasSubstr(scratch.path("other")));
  // One that was handed over under this very name is good.
  scratch.write("dc-b.psk", kLine, 0440);
  EXPECT_TRUE(read_key_file<32>("credential:dc-b.psk").has_value());
}

// From a shell: the folders that the units name.
TEST(Credential, LiesWhereTheUnitsLoadItFrom) {
  for (const auto& [unit, name] : {std::pair("quipud", "quipu"), std::pair("quipu-kmsd", "kms")}) {
    std::ifstream file(std::string(QUIPU_SOURCE_DIR) + "/systemd/" + unit + ".service");
    const std::string prefix = std::string("LoadCredential=") + name + ":";
    std::string line;
    while (std::getline(file, line) && !line.starts_with(prefix)) {
    }
    ASSERT_TRUE(line.starts_with(prefix)) << unit;
    EXPECT_EQ(resolve_file(std::string("credential:") + name + "_x.key"), line.substr(prefix.size()) + "/x.key");
  }
}

TEST(StateDirectory, IsTheFirstThatTheServiceManagerGives) {
  EXPECT_EQ(state_directory("/var/lib/quipu"), "/var/lib/quipu");
  const Environment environment("STATE_DIRECTORY", "/var/lib/one:/var/lib/two");
  EXPECT_EQ(state_directory("/var/lib/quipu"), "/var/lib/one");
}

}  // namespace
}  // namespace quipu::service
