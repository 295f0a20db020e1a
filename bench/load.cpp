// SPDX-License-Identifier: Apache-2.0
#include "bench/load.h"

#include <fmt/format.h>
#include <sys/epoll.h>

#include <algorithm>
#include <array>

#include "bench/answer.h"

namespace quipu::bench {
namespace {

using Clock = std::chrono::steady_clock;

// Of the base64 text of any key that is asked for.
constexpr int kPatienceMs = 10'000;
constexpr std::size_t kMostKeyText = 256;

std::string request_text(const Site& site, std::string_view path) {
  return fmt::format("GET /api/v1/keys/{} HTTP/1.1\r\nHost: {}\r\n\r\n", path, site.kms.text());
}

struct Lane {
  TlsClient a;
  TlsClient b;
  bool at_b = false;  // the key has come from A
  Clock::time_point asked{};
  SecretBytes key{kMostKeyText};  // as it came from A
  std::size_t key_size = 0;

  TlsClient& current() { return at_b ? b : a; }
};

class Load {
 public:
  static Result<LoadResult> run(const LoadOptions& options) {
    Load load(options);
    QUIPU_TRY(load.connect());
    QUIPU_TRY(load.work());
    std::ranges::sort(load.m_result.enc_keys_ns);
    std::ranges::sort(load.m_result.dec_keys_ns);
    return std::move(load.m_result);
  }

 private:
  explicit Load(const LoadOptions& options)
      : m_options(options), m_enc_request(request_text(options.a, options.b.sae + "/enc_keys")) {}

  Result<void> connect() {
    m_epoll.reset(::epoll_create1(EPOLL_CLOEXEC));
    QUIPU_TRY_ASSIGN(const TlsConfig at_a, TlsConfig::load(m_options.a.files));
    QUIPU_TRY_ASSIGN(const TlsConfig at_b, TlsConfig::load(m_options.b.files));
    for (std::size_t i = 0; i < m_options.lanes; ++i) {
      QUIPU_TRY_ASSIGN(TlsClient a, TlsClient::connect(at_a, m_options.a.kms));
      QUIPU_TRY_ASSIGN(TlsClient b, TlsClient::connect(at_b, m_options.b.kms));
      m_lanes.push_back({.a = std::move(a), .b = std::move(b)});
    }
    for (std::size_t i = 0; i < m_lanes.size(); ++i)
      for (const int fd : {m_lanes[i].a.fd(), m_lanes[i].b.fd()}) {
        epoll_event event{.events = EPOLLIN, .data = {.u64 = i}};
        if (::epoll_ctl(m_epoll.get(), EPOLL_CTL_ADD, fd, &event) != 0) return fail_system("epoll");
      }
    return {};
  }

  Result<void> work() {
    const Clock::time_point begin = Clock::now();
    m_end = begin + m_options.duration;
    for (Lane& lane : m_lanes)
      QUIPU_TRY(ask_a(lane));
    while (m_busy != 0)
      QUIPU_TRY(turn());
    m_result.seconds = std::chrono::duration<double>(Clock::now() - begin).count();
    return {};
  }

  Result<void> turn() {
    std::array<epoll_event, 64> events{};
    const int count = ::epoll_wait(m_epoll.get(), events.data(), static_cast<int>(events.size()), kPatienceMs);
    if (count < 0 && errno != EINTR) return fail_system("epoll");
    if (count == 0) return fail(Errc::timeout, "no KMS has answered anything for 10 s");
    for (int i = 0; i < count; ++i) {
      Lane& lane = m_lanes[events.at(static_cast<std::size_t>(i)).data.u64];
      QUIPU_TRY_ASSIGN(const ByteView received, lane.current().receive());
      QUIPU_TRY_ASSIGN(const auto size, answer_size(received));
      if (size) QUIPU_TRY(answered(lane, read_answer(received.first(*size))));
    }
    return {};
  }

  Result<void> answered(Lane& lane, const Answer& answer) {
    const bool has_key = answer.status == 200 && !answer.key.empty() && answer.key.size() <= kMostKeyText;
    auto& times = lane.at_b ? m_result.dec_keys_ns : m_result.enc_keys_ns;
    if (has_key)
      times.push_back(static_cast<std::uint64_t>((Clock::now() - lane.asked).count()));
    else
      ++m_result.unanswered;
    TlsClient& from = lane.current();
    --m_busy;
    Result<void> done;
    if (has_key && !lane.at_b) {
      done = ask_b(lane, answer);
    } else {
      if (has_key) compare(lane, answer);
      if (Clock::now() < m_end) done = ask_a(lane);
    }
    from.drop_received();  // the answer lies in there
    return done;
  }

  void compare(const Lane& lane, const Answer& answer) {
    const bool equal = constant_time_equal(lane.key.view().first(lane.key_size), as_bytes(answer.key));
    ++(equal ? m_result.pairs : m_result.unequal);
  }

  Result<void> ask_a(Lane& lane) {
    lane.at_b = false;
    return ask(lane, m_enc_request);
  }

  Result<void> ask_b(Lane& lane, const Answer& answer) {
    std::ranges::copy(as_bytes(answer.key), lane.key.mutable_view().begin());
    lane.key_size = answer.key.size();
    lane.at_b = true;
    return ask(lane, request_text(m_options.b, fmt::format("{}/dec_keys?key_ID={}", m_options.a.sae, answer.key_id)));
  }

  Result<void> ask(Lane& lane, std::string_view request) {
    ++m_busy;
    lane.asked = Clock::now();
    return lane.current().send(request);
  }

  const LoadOptions& m_options;
  const std::string m_enc_request;
  UniqueFd m_epoll;
  std::vector<Lane> m_lanes;
  std::size_t m_busy = 0;  // requests under way
  Clock::time_point m_end;
  LoadResult m_result;
};

}  // namespace

Result<LoadResult> run_load(const LoadOptions& options) {
  return Load::run(options);
}

}  // namespace quipu::bench
