// SPDX-License-Identifier: Apache-2.0
// Errors are values. No exception crosses a layer's border: wrappers of Asio, SQLite, toml++ and the like translate at
// the edge.
#pragma once

#include <cerrno>
#include <cstring>
#include <expected>
#include <string>
#include <string_view>
#include <utility>

#include "base/errc.h"

namespace quipu {

struct Error {
  Errc code;
  // Where it happened and what to do, for people; empty where the code says it all. Never holds key material.
  std::string text;

  bool operator==(const Error&) const = default;
};

template <class T>
using Result = std::expected<T, Error>;

// For per-packet paths, where building a text would cost more than the packet.
template <class T>
using Outcome = std::expected<T, Errc>;

inline std::unexpected<Error> fail(Errc code, std::string text = {}) {
  return std::unexpected(Error{code, std::move(text)});
}

// Errc::io with the reason of a failed system call, "WHAT: reason".
Error system_error(std::string_view what, int error_number = errno);

inline std::unexpected<Error> fail_system(std::string_view what, int error_number = errno) {
  return std::unexpected(system_error(what, error_number));
}

// The same error with "WHERE: " put in front of its text.
inline std::unexpected<Error> fail_at(std::string_view where, Error error) {
  std::string text(where);
  text += ": ";
  text += error.text.empty() ? to_string(error.code) : std::string_view(error.text);
  error.text = std::move(text);
  return std::unexpected(std::move(error));
}

}  // namespace quipu

#define QUIPU_CONCAT_(a, b) a##b
#define QUIPU_CONCAT(a, b) QUIPU_CONCAT_(a, b)

// Declarations and expressions that are handed through cannot stand in parentheses.
// NOLINTBEGIN(bugprone-macro-parentheses)

// QUIPU_TRY(expression): returns the error of a Result<void> (or of any Result whose value is not needed) to the
// caller.
#define QUIPU_TRY(expression)                                                                                     \
  do {                                                                                                            \
    if (auto quipu_result = (expression); !quipu_result) return std::unexpected(std::move(quipu_result).error()); \
  } while (false)

// QUIPU_TRY_ASSIGN(declaration, expression): declares and sets the value, or returns the error to the caller.
#define QUIPU_TRY_ASSIGN(declaration, expression) \
  QUIPU_TRY_ASSIGN_(QUIPU_CONCAT(quipu_result_, __LINE__), declaration, expression)
#define QUIPU_TRY_ASSIGN_(result, declaration, expression)        \
  auto result = (expression);                                     \
  if (!result) return std::unexpected(std::move(result).error()); \
  declaration = *std::move(result)

// NOLINTEND(bugprone-macro-parentheses)
