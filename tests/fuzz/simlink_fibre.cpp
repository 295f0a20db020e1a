// SPDX-License-Identifier: Apache-2.0
// One end of a simulated fibre hears whatever it likes to: first octet = which end.
#include <cstdlib>

#include "plugins/sim/exchange.h"

namespace {

class CountingRng final : public quipu::crypto::Rng {
 public:
  void fill(quipu::MutableBytes out) override {
    for (std::uint8_t& octet : out)
      octet = ++m_next;
  }

 private:
  std::uint8_t m_next = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace quipu::sim;
  if (size == 0) return 0;
  CountingRng rng;
  Exchange end(data[0] % 2 == 0 ? Role::alice : Role::bob, 32, rng);
  end.connected();
  quipu::ByteView stream(data + 1, size - 1);
  for (;;) {
    const auto parsed = parse_message(stream);
    if (!parsed || !*parsed) return 0;
    const quipu::Bytes again = encode((*parsed)->message);
    if (!std::equal(again.begin(), again.end(), stream.begin())) std::abort();
    stream = stream.subspan((*parsed)->size);
    const std::uint64_t before = end.confirmed();
    const auto step = end.handle((*parsed)->message);
    if (!step) return 0;
    if (step->deliver && step->deliver->key.size() < 32) std::abort();
    if (step->deliver && end.confirmed() <= step->deliver->sequence) std::abort();
    if (!step->deliver && !std::holds_alternative<Hello>((*parsed)->message) && end.confirmed() != before) std::abort();
    if (end.may_propose()) end.propose();
    if (end.may_accept()) end.accept();
  }
}
