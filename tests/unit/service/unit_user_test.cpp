// SPDX-License-Identifier: Apache-2.0
#include "service/unit_user.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "service/files.h"
#include "service/named_files.h"
#include "support/scratch.h"
#include "unit/net/fixture.h"

namespace quipu::service {
namespace {

using config::kKmsdUnit;
using config::kQuipudUnit;
using config::Unit;
using testing::HasSubstr;

constexpr std::string_view kLine = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n";
constexpr uid_t kTunnel = 12345;
constexpr uid_t kKms = 12346;
constexpr gid_t kControl = 12350;
constexpr gid_t kCertificates = 12351;
constexpr gid_t kOthers = 12352;

// Of this process, for good.
bool drop_capability(unsigned capability) {
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  __user_cap_data_struct data[2]{};
  if (::syscall(SYS_capget, &header, data) != 0) return false;
  data[0].effective &= ~(1U << capability);
  data[0].permitted &= ~(1U << capability);
  return ::syscall(SYS_capset, &header, data) == 0;
}

// Users and groups as this process alone sees them.
class UnitUserTest : public testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "to have users of one's own needs root";
    ASSERT_EQ(::unshare(CLONE_NEWNS), 0);
    ASSERT_EQ(::mount("", "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
    install("passwd", "root:x:0:0::/:/bin/sh\n_quipu:x:12345:12345::/:/bin/sh\n_quipu-kms:x:12346:12346::/:/bin/sh\n");
    install("group", "root:x:0:\nquipu:x:12350:\nssl-cert:x:12351:_quipu\nothers:x:12352:\n");
    ASSERT_EQ(::chmod(m_folder.path("").c_str(), 0755), 0);
  }

  void TearDown() override {
    for (const char* file : {"/etc/passwd", "/etc/group"})
      ::umount2(file, MNT_DETACH);
  }

  std::string file(uid_t owner, gid_t group, mode_t mode) {
    const std::string path = m_folder.write("k", kLine, mode);
    EXPECT_EQ(::chown(path.c_str(), owner, group), 0);
    return path;
  }

  static UnitUser of_unit() { return UnitUser::find(kQuipudUnit, kQuipudUnit.configuration).value(); }

  static UnitUser of_draft() { return UnitUser::find(kQuipudUnit, "/tmp/draft.toml").value(); }

  // Below /tmp the units would see nothing.
  const test::Environment m_temporary{"TMPDIR", ::geteuid() == 0 ? "/srv" : "/tmp"};
  test::Scratch m_folder;

 private:
  void install(const std::string& name, std::string_view text) {
    ASSERT_EQ(::mount(m_folder.write(name, text, 0644).c_str(), ("/etc/" + name).c_str(), nullptr, MS_BIND, nullptr),
              0);
  }
};

TEST_F(UnitUserTest, IsThereWhereThePackageIs) {
  Unit unit = kKmsdUnit;
  EXPECT_TRUE(UnitUser::find(unit, unit.configuration).has_value());
  unit.user = "_quipu-none";
  EXPECT_FALSE(UnitUser::find(unit, unit.configuration).has_value());
}

// As docs/operations.md has keys that are named by their paths.
TEST_F(UnitUserTest, MayOwnAKey) {
  for (const UnitUser& reader : {of_draft(), of_unit()}) {
    EXPECT_TRUE(read_key_file<32>(file(kTunnel, 0, 0400), &reader).has_value());
    EXPECT_THAT(read_key_file<32>(file(kKms, 0, 0400), &reader).error().text,
                HasSubstr("belongs to user 12346; chown it to the daemon's user"));
  }
  EXPECT_FALSE(read_key_file<32>(file(kTunnel, 0, 0400)).has_value()) << "of a daemon that root runs";
}

// The service manager reads it as root.
TEST_F(UnitUserTest, MayOwnACredential) {
  const test::Environment folder("CREDENTIALS_DIRECTORY", m_folder.root());
  const UnitUser reader = of_unit();
  file(kTunnel, 0, 0400);
  EXPECT_TRUE(read_key_file<32>("credential:k", &reader).has_value());
  file(kKms, 0, 0400);
  EXPECT_THAT(read_key_file<32>("credential:k", &reader).error().text, HasSubstr("chown it to root"));
}

TEST_F(UnitUserTest, IsAskedForWithoutThisProcessBecomingAnybodyElse) {
  const UnitUser reader = of_unit();
  ASSERT_EQ(::prctl(PR_SET_DUMPABLE, 1, 0, 0, 0), 0);
  EXPECT_TRUE(reader.check_readable(file(kTunnel, 0, 0400)).has_value());
  EXPECT_EQ(::prctl(PR_GET_DUMPABLE, 0, 0, 0, 0), 1);
}

// As in a container that root was given less than root has elsewhere.
TEST_F(UnitUserTest, IsNotJudgedForWhereRootMayNotBecomeIt) {
  const UnitUser reader = of_unit();
  const std::string path = file(0, 0, 0400);
  EXPECT_FALSE(reader.check_readable(path).has_value());
  const pid_t child = ::fork();
  if (child == 0) {
    const bool dropped = drop_capability(CAP_SETUID);
    ::_exit(dropped && reader.check_readable(path).has_value() ? 0 : 1);
  }
  int status = 1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

TEST_F(UnitUserTest, MustBeAbleToReadItsFiles) {
  const UnitUser reader = of_unit();
  const auto refused = read_key_file<32>(file(0, 0, 0400), &reader);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, Errc::not_permitted);
  EXPECT_THAT(refused.error().text, HasSubstr("_quipu, as whom the unit runs, may not read it"));
  const UnitUser draft = of_draft();
  EXPECT_TRUE(read_key_file<32>(file(0, 0, 0400), &draft).has_value());
}

TEST_F(UnitUserTest, ReadsByItsGroups) {
  const UnitUser reader = of_unit();
  for (const gid_t group : {kTunnel, kControl, kCertificates})
    EXPECT_TRUE(reader.check_readable(file(0, group, 0440)).has_value()) << group;
  for (const gid_t group : {gid_t{0}, kOthers})
    EXPECT_FALSE(reader.check_readable(file(0, group, 0440)).has_value()) << group;
}

TEST_F(UnitUserTest, FindsNothingWhereTheUnitHidesIt) {
  for (const std::string_view folder : config::kHiddenFromUnits) {
    const std::string path = std::string(folder) + "/admin/psk";
    const auto hidden = of_unit().check_readable(path);
    ASSERT_FALSE(hidden.has_value()) << path;
    EXPECT_THAT(hidden.error().text, HasSubstr(path + ": the units see nothing below " + std::string(folder) + ":"));
    EXPECT_TRUE(of_draft().check_readable(path).has_value()) << path;
  }
  EXPECT_TRUE(of_unit().check_readable("/homeless/psk").has_value());
}

TEST_F(UnitUserTest, FollowsAPathToWhereTheUnitHidesIt) {
  const std::string link = m_folder.path("link");
  ASSERT_EQ(::symlink("/home", link.c_str()), 0);
  for (const std::string& path : {link + "/psk", m_folder.path("../../home/psk"), std::string("//home/psk")})
    EXPECT_FALSE(of_unit().check_readable(path).has_value()) << path;
}

TEST_F(UnitUserTest, HasAllItsGroupsAndItsUnitsOwnFirst) {
  std::string groups = "root:x:0:\n_quipu:x:20000:\n";
  for (int i = 1; i <= 300; ++i)
    groups += "g" + std::to_string(i) + ":x:" + std::to_string(20000 + i) + ":_quipu\n";
  m_folder.write("group", groups, 0644);  // what /etc/group is here
  for (const gid_t group : {20000U, 20001U, 20300U})
    EXPECT_TRUE(of_unit().check_readable(file(0, group, 0440)).has_value()) << group;
  EXPECT_FALSE(of_unit().check_readable(file(0, kTunnel, 0440)).has_value()) << "which is in /etc/passwd only";
}

TEST_F(UnitUserTest, MustBeLetIntoTheFolders) {
  const UnitUser reader = of_unit();
  const std::string path = file(kTunnel, 0, 0400);
  ASSERT_EQ(::chmod(m_folder.path("").c_str(), 0700), 0);
  EXPECT_FALSE(read_key_file<32>(path, &reader).has_value());
}

TEST_F(UnitUserTest, LeavesWhatIsNotThereToWhoReadsIt) {
  const UnitUser reader = of_unit();
  EXPECT_TRUE(reader.check_readable(m_folder.path("none")).has_value());
}

TEST_F(UnitUserTest, MustBeAbleToReadCertificates) {
  const net::TestPki pki;
  ASSERT_EQ(::chmod(pki.path("").c_str(), 0755), 0);
  const net::TlsFiles end = pki.issue("a");
  for (const std::string& path : {end.ca, end.certificate, end.key})
    ASSERT_EQ(::chown(path.c_str(), kTunnel, 0), 0);
  const UnitUser reader = of_unit();
  const auto named = [](const std::string& name, const char* key) {
    return config::FileName{.name = name, .position = {}, .key = key};
  };
  const config::TlsFiles files{
      .ca = named(end.ca, "t.ca"), .cert = named(end.certificate, "t.cert"), .key = named(end.key, "t.key")};
  NamedFiles readable(&reader);
  EXPECT_NE(readable.tls(files).context, nullptr);
  EXPECT_TRUE(readable.outcome("FILE").has_value());
  for (const config::FileName* const one : {&files.ca, &files.cert, &files.key}) {
    ASSERT_EQ(::chown(one->name.c_str(), 0, 0), 0);
    ASSERT_EQ(::chmod(one->name.c_str(), 0600), 0);
    NamedFiles unreadable(&reader);
    EXPECT_EQ(unreadable.tls(files).context, nullptr);
    EXPECT_THAT(unreadable.outcome("FILE").error().text, HasSubstr(one->key + ": " + one->name + ": _quipu, as whom"));
    ASSERT_EQ(::chown(one->name.c_str(), kTunnel, 0), 0);
  }
}

}  // namespace
}  // namespace quipu::service
