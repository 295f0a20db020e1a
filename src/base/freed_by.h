// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace quipu {

// The deleter of a std::unique_ptr to an object of a C library, which takes it back by its function `Free`.
template <auto Free>
struct FreedBy {
  template <class T>
  void operator()(T* object) const {
    Free(object);
  }
};

}  // namespace quipu
