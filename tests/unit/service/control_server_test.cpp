// SPDX-License-Identifier: Apache-2.0
#include "service/control_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>

#include "support/scratch.h"

namespace quipu::service {
using test::Scratch;

namespace {

using testing::HasSubstr;

class NullSink final : public LogSink {
 public:
  void write(LogLevel /*level*/, std::string_view event, std::string_view /*message*/,
             std::span<const LogField> /*fields*/) override {
    events.emplace_back(event);
  }

  std::vector<std::string> events;
};

UniqueFd connect_to(const std::string& path) {
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  EXPECT_EQ(::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0)
      << std::strerror(errno);
  return fd;
}

class ControlServerTest : public testing::Test {
 protected:
  void start(std::size_t max_clients = 16) {
    auto created = ControlServer::create(
        {.path = scratch.path("c.sock"), .group = "quipu-test-no-such-group", .max_clients = max_clients},
        [this](const control::Request& request, ControlServer::ClientId client) -> std::optional<std::string> {
          if (std::holds_alternative<control::RekeyRequest>(request)) {
            owed.push_back(client);
            return std::nullopt;
          }
          return control::encode_ok("\"" + std::string(filler, 'x') + "\"");
        },
        log);
    ASSERT_TRUE(created.has_value()) << created.error().text;
    server = *std::move(created);
  }

  // Lets the server do all that it can do now.
  void run() {
    for (pollfd poll{.fd = server->fd(), .events = POLLIN, .revents = 0}; ::poll(&poll, 1, 0) == 1;)
      server->on_readable();
  }

  static void send(const UniqueFd& fd, std::string_view text) {
    EXPECT_EQ(::send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
  }

  // What has arrived; "(closed)" at the end.
  std::string receive(const UniqueFd& fd) {
    std::string out;
    std::string buffer(65536, '\0');
    for (;;) {
      run();
      const ssize_t size = ::recv(fd.get(), buffer.data(), buffer.size(), 0);
      if (size > 0)
        out.append(buffer, 0, static_cast<std::size_t>(size));
      else
        return size == 0 || errno == ECONNRESET ? out + "(closed)" : out;
    }
  }

  UniqueFd client() const { return connect_to(scratch.path("c.sock")); }

  Scratch scratch;
  NullSink log;
  std::size_t filler = 0;
  std::vector<ControlServer::ClientId> owed;
  std::unique_ptr<ControlServer> server;
};

constexpr std::string_view kStatus = "{\"verb\":\"status\"}\n";
constexpr std::string_view kOk = "{\"ok\":true,\"result\":\"\"}\n";

TEST_F(ControlServerTest, AnswersLineByLineInAnyPieces) {
  start();
  const UniqueFd fd = client();
  for (const char c : kStatus)
    send(fd, std::string(1, c)), run();
  EXPECT_EQ(receive(fd), kOk);
  send(fd, std::string(kStatus) + std::string(kStatus));
  EXPECT_EQ(receive(fd), std::string(kOk) + std::string(kOk));
}

TEST_F(ControlServerTest, TheSocketIsForOwnerAndGroupOnlyAndGoesWithTheServer) {
  start();
  struct stat status{};
  ASSERT_EQ(::stat(scratch.path("c.sock").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777U, 0660U);
  server.reset();
  EXPECT_NE(::stat(scratch.path("c.sock").c_str(), &status), 0);
}

TEST_F(ControlServerTest, AnswersBadRequestsAndGoesOn) {
  start();
  const UniqueFd fd = client();
  send(fd, "nonsense\n");
  EXPECT_THAT(receive(fd), HasSubstr("\"ok\":false,\"error\":{\"code\":\"malformed\""));
  send(fd, kStatus);
  EXPECT_EQ(receive(fd), kOk);
}

TEST_F(ControlServerTest, ClosesAClientThatSendsAnEndlessLine) {
  start();
  const UniqueFd fd = client();
  send(fd, std::string(control::kMaxRequestSize + 1, 'x'));
  EXPECT_EQ(receive(fd), "(closed)");
  EXPECT_EQ(server->clients(), 0U);
}

TEST_F(ControlServerTest, AnswersAfterTheClientHasSaidItsLast) {
  start();
  const UniqueFd fd = client();
  send(fd, kStatus);
  ASSERT_EQ(::shutdown(fd.get(), SHUT_WR), 0);
  EXPECT_EQ(receive(fd), std::string(kOk) + "(closed)");
}

TEST_F(ControlServerTest, AnOwedAnswerComesLaterAndBeforeTheNextLine) {
  start();
  const UniqueFd fd = client();
  send(fd, "{\"verb\":\"rekey\"}\n" + std::string(kStatus));
  EXPECT_EQ(receive(fd), "");
  ASSERT_EQ(owed.size(), 1U);
  server->answer(owed[0], control::encode_ok("\"late\""));
  EXPECT_EQ(receive(fd), "{\"ok\":true,\"result\":\"late\"}\n" + std::string(kOk));
  server->answer(owed[0], control::encode_ok("\"twice\""));
  EXPECT_EQ(receive(fd), "");
}

TEST_F(ControlServerTest, AnAnswerForAClientThatHasGoneIsDropped) {
  start();
  {
    const UniqueFd fd = client();
    send(fd, "{\"verb\":\"rekey\"}\n");
    EXPECT_EQ(receive(fd), "");
  }
  run();
  EXPECT_EQ(server->clients(), 0U);
  ASSERT_EQ(owed.size(), 1U);
  server->answer(owed[0], control::encode_ok("1"));
}

TEST_F(ControlServerTest, AClientThatTakesNothingIsReadNoFurtherAndHurtsNobody) {
  filler = 1'000'000;
  start();
  const UniqueFd idle = client();
  for (int i = 0; i < 20; ++i)
    send(idle, kStatus);
  run();
  EXPECT_EQ(server->clients(), 1U);
  const UniqueFd other = client();
  send(other, kStatus);
  EXPECT_EQ(receive(other).size(), filler + kOk.size());
  EXPECT_EQ(receive(idle).size(), 20 * (filler + kOk.size()));
}

TEST_F(ControlServerTest, WhenThereAreTooManyTheOldestThatWaitsForNothingGivesWay) {
  start(2);
  const UniqueFd first = client();
  send(first, "{\"verb\":\"rekey\"}\n");
  EXPECT_EQ(receive(first), "");
  const UniqueFd second = client();
  run();
  const UniqueFd third = client();
  send(third, kStatus);
  EXPECT_EQ(receive(third), kOk);
  EXPECT_EQ(receive(second), "(closed)");
  EXPECT_EQ(receive(first), "");
  EXPECT_EQ(server->clients(), 2U);
}

TEST_F(ControlServerTest, ReplacesASocketThatNobodyServes) {
  start();
  const std::string path = scratch.path("c.sock");
  // What kill -9 leaves: the file without its server.
  ASSERT_EQ(::link(path.c_str(), scratch.path("kept").c_str()), 0);
  server.reset();
  ASSERT_EQ(::rename(scratch.path("kept").c_str(), path.c_str()), 0);
  start();
  const UniqueFd fd = client();
  send(fd, kStatus);
  EXPECT_EQ(receive(fd), kOk);
}

TEST_F(ControlServerTest, RefusesAPathThatIsTaken) {
  start();
  const auto create = [&](const std::string& path) {
    return ControlServer::create({.path = path}, [](const auto&, auto) { return std::string(); }, log);
  };
  EXPECT_EQ(create(scratch.path("c.sock")).error().code, Errc::busy);
  EXPECT_EQ(create(scratch.write("file", "x", 0600)).error().code, Errc::conflict);
  EXPECT_EQ(create(scratch.path(std::string(200, 'x'))).error().code, Errc::too_large);
  EXPECT_EQ(create(scratch.path("absent/c.sock")).error().code, Errc::io);
}

TEST_F(ControlServerTest, OnlyRootAndTheDaemonsUserMayChangeAnything) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can become somebody else";
  start();
  const std::string path = scratch.path("c.sock");
  ASSERT_EQ(::chmod(path.c_str(), 0666), 0);
  ASSERT_EQ(::chmod(scratch.root().c_str(), 0755), 0);
  ASSERT_EQ(::seteuid(65534), 0);
  const UniqueFd nobody = connect_to(path);
  ASSERT_EQ(::seteuid(0), 0);
  for (const std::string_view verb : {"rekey", "reload"}) {
    send(nobody, "{\"verb\":\"" + std::string(verb) + "\"}\n");
    EXPECT_THAT(receive(nobody), HasSubstr("\"code\":\"not_permitted\""));
  }
  EXPECT_TRUE(owed.empty());
  EXPECT_THAT(log.events, testing::Contains("control_refused"));
  send(nobody, kStatus);
  EXPECT_EQ(receive(nobody), kOk);
}

}  // namespace
}  // namespace quipu::service
