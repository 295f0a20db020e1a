// SPDX-License-Identifier: Apache-2.0
// A listener for streams over mutual TLS, and attempts to connect to it.
#pragma once

#include "fixture.h"
#include "net/tls_stream.h"

namespace quipu::net {

using Streams = std::vector<std::unique_ptr<TlsStream>>;

inline HostPort host_port(const Endpoint& endpoint, std::string host = "127.0.0.1") {
  return {std::move(host), endpoint.port};
}

// One listener, and attempts to connect to it.
struct Link {
  Link(Loop& owner, std::shared_ptr<const TlsContext> server, const TlsStreamLimits& chosen = {})
      : loop(owner), limits(chosen) {
    auto opened = TlsListener::open(
        loop, kLoopback, std::move(server), limits,
        [this](std::unique_ptr<TlsStream> stream) { accepted.push_back(std::move(stream)); },
        [this](const Endpoint&, const Error& reason) { refused.push_back(reason); });
    EXPECT_TRUE(opened.has_value());
    listener = std::move(*opened);
  }

  // Waits for the end of the attempt.
  Result<std::unique_ptr<TlsStream>> connect(std::shared_ptr<const TlsContext> client, std::string expected_id,
                                             std::string host = "127.0.0.1") {
    std::optional<Result<std::unique_ptr<TlsStream>>> out;
    const TlsConnector connector(loop, std::move(client), limits, host_port(listener->local(), std::move(host)),
                                 std::move(expected_id), [&](auto result) { out = std::move(result); });
    run_until(loop, [&] { return out.has_value(); });
    return std::move(*out);
  }

  Loop& loop;
  TlsStreamLimits limits;
  std::unique_ptr<TlsListener> listener;
  Streams accepted;
  std::vector<Error> refused;
};

// A client whose certificate is refused learns it with its first read.
inline Error first_read(Loop& loop, TlsStream& stream) {
  std::optional<Error> reason;
  stream.start({.on_message = [](ByteView) { ADD_FAILURE() << "a message from a server that refused us"; },
                .on_closed = [&](Error error) { reason = std::move(error); }});
  run_until(loop, [&] { return reason.has_value(); });
  return *reason;
}

}  // namespace quipu::net
