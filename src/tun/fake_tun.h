// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <deque>
#include <vector>

#include "base/unique_fd.h"
#include "tun/tun_device.h"

namespace quipu::tun {

// A TunDevice without a kernel behind it, for simulations and tests of whatever uses one: what inject() puts in comes
// out of read(), and what is written waits in take_written(). Its fd() is readable like a real one's. One thread at a
// time.
class FakeTun final : public TunDevice {
 public:
  explicit FakeTun(std::string name = "fake0", const Offloads& offloads = {});

  void inject(ByteView packet, const PacketHints& hints = {});

  struct Written {
    Bytes bytes;
    PacketHints hints;
  };

  // All packets written since the last call, oldest first.
  std::vector<Written> take_written();

  // The next so many packets that are written are refused.
  void refuse(std::size_t packets) { m_refusals = packets; }

  // From now on read and write fail with Errc::closed, as when an admin deletes the interface.
  void remove();

  Result<std::size_t> read(std::span<const MutableBytes> buffers, std::span<ReadPacket> packets) override;
  Result<std::size_t> write(std::span<const GatheredPacket> packets) override;

  Offloads offloads() const override { return m_offloads; }

  int fd() const override { return m_event.get(); }

  const std::string& name() const override { return m_name; }

 private:
  struct Waiting {
    Bytes bytes;
    PacketHints hints;
  };

  bool understands(const PacketHints& hints) const;

  std::string m_name;
  Offloads m_offloads;
  bool m_removed = false;
  std::size_t m_refusals = 0;
  UniqueFd m_event;
  std::deque<Waiting> m_waiting;
  std::vector<Written> m_written;
};

}  // namespace quipu::tun
