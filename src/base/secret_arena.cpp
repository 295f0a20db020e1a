// SPDX-License-Identifier: Apache-2.0
#include "base/secret_arena.h"

#include <sodium.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <bit>
#include <cstdint>
#include <cstdlib>
#include <mutex>
#include <string_view>

#include "base/assert.h"

namespace quipu {
namespace {

constexpr std::size_t kSlabSize = std::size_t{64} * 1024;
constexpr std::size_t kSmallestClass = 32;
constexpr std::size_t kLargestClass = std::size_t{32} * 1024;  // a block of a device, a frame
constexpr std::size_t kClassCount = std::bit_width(kLargestClass / kSmallestClass);

std::size_t class_of(std::size_t size) {
  const std::size_t rounded = size <= kSmallestClass ? kSmallestClass : std::bit_ceil(size);
  return static_cast<std::size_t>(std::bit_width(rounded / kSmallestClass)) - 1;
}

// A free chunk holds nothing but the link to the next one.
struct FreeChunk {
  FreeChunk* next;
};

// Nothing can be told through the log from here: it would allocate.
[[noreturn]] void die_unlocked() {
  constexpr std::string_view kText =
      "quipu: memory for keys cannot be locked against swapping any more: raise RLIMIT_MEMLOCK (LimitMEMLOCK= in the "
      "unit); ending rather than letting keys reach the disk\n";
  (void)!::write(STDERR_FILENO, kText.data(), kText.size());
  std::abort();
}

class Arena {
 public:
  void* allocate(std::size_t size) {
    if (size > kLargestClass) return map(size);
    const std::scoped_lock lock(m_mutex);
    FreeChunk*& head = m_free[class_of(size)];
    if (head == nullptr) head = carve_slab(class_of(size));
    FreeChunk* chunk = head;
    head = chunk->next;
    chunk->next = nullptr;
    return chunk;
  }

  void free(void* memory, std::size_t size) noexcept {
    if (size > kLargestClass) return sodium_free(memory);  // wipes
    sodium_memzero(memory, size);
    const std::scoped_lock lock(m_mutex);
    FreeChunk*& head = m_free[class_of(size)];
    head = new (memory) FreeChunk{head};
  }

  bool require_locked() {
    const std::scoped_lock lock(m_mutex);
    if (m_free[0] == nullptr) m_free[0] = carve_slab(0);
    if (m_locked) m_required = true;
    return m_locked;
  }

 private:
  // sodium_malloc ignores a failed mlock, so the lock is asked for again where its result can be seen.
  void* map(std::size_t size) {
    void* memory = sodium_malloc(size);
    QUIPU_ASSERT(memory != nullptr);
    if (::mlock(memory, size) == 0) return memory;
    m_locked = false;
    if (m_required) die_unlocked();
    return memory;
  }

  FreeChunk* carve_slab(std::size_t size_class) {
    auto* slab = static_cast<std::uint8_t*>(map(kSlabSize));
    const std::size_t chunk = kSmallestClass << size_class;
    FreeChunk* head = nullptr;
    for (std::size_t at = kSlabSize; at >= chunk; at -= chunk)
      head = new (slab + at - chunk) FreeChunk{head};
    return head;
  }

  std::mutex m_mutex;
  std::array<FreeChunk*, kClassCount> m_free{};
  // Also set where no lock is held: large pieces are mapped without.
  std::atomic<bool> m_locked = true;
  std::atomic<bool> m_required = false;
};

// Secrets may be freed by objects of static storage, so the arena itself is never destroyed; the kernel clears its
// pages.
Arena& arena() {
  static Arena* const instance = [] {
    QUIPU_ASSERT(sodium_init() >= 0);
    return new Arena;
  }();
  return *instance;
}

}  // namespace

#ifdef QUIPU_SANITIZED
// Each secret is an allocation of its own, so that the sanitizers see every overrun and every use after free.
void* secret_allocate(std::size_t size) {
  QUIPU_ASSERT(sodium_init() >= 0);
  void* memory = std::calloc(1, size == 0 ? 1 : size);
  QUIPU_ASSERT(memory != nullptr);
  return memory;
}

void secret_free(void* memory, std::size_t size) noexcept {
  sodium_memzero(memory, size);
  std::free(memory);
}
#else
void* secret_allocate(std::size_t size) {
  return arena().allocate(size);
}

void secret_free(void* memory, std::size_t size) noexcept {
  arena().free(memory, size);
}
#endif

Result<void> require_locked_secrets() {
  if (arena().require_locked()) return {};
  return fail(Errc::io,
              "memory for keys cannot be locked against swapping: raise RLIMIT_MEMLOCK (LimitMEMLOCK= in the unit)");
}

void wipe(void* memory, std::size_t size) noexcept {
  sodium_memzero(memory, size);
}

}  // namespace quipu
