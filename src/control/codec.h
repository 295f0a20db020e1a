// SPDX-License-Identifier: Apache-2.0
// Writes and reads plain structs by their lists of members (fields.h). Inside src/control only.
#pragma once

#include <fmt/format.h>

#include <boost/json/value.hpp>
#include <concepts>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "control/fields.h"
#include "control/json.h"

namespace quipu::control {

class JsonWriter {
 public:
  template <class T>
  void write(const T& value) {
    if constexpr (std::same_as<T, bool>)
      m_out += value ? "true" : "false";
    else if constexpr (std::unsigned_integral<T>)
      m_out += fmt::to_string(value);
    else if constexpr (std::same_as<T, double>)
      append_json_number(m_out, value);
    else if constexpr (std::same_as<T, std::string>)
      append_json_string(m_out, value);
    else if constexpr (std::is_enum_v<T>)
      append_json_string(m_out, to_string(value));
    else
      write_object(value);
  }

  template <class T>
  void write(const std::optional<T>& value) {
    if (value)
      write(*value);
    else
      m_out += "null";
  }

  template <class T>
  void write(const std::vector<T>& values) {
    const char* separator = "[";
    for (const T& value : values) {
      m_out += separator;
      write(value);
      separator = ",";
    }
    m_out += values.empty() ? "[]" : "]";
  }

  void write(const std::map<std::string, std::uint64_t>& values) {
    const char* separator = "{";
    for (const auto& [name, value] : values) {
      m_out += separator;
      append_json_string(m_out, name);
      m_out += fmt::format(":{}", value);
      separator = ",";
    }
    m_out += values.empty() ? "{}" : "}";
  }

  // `first`: members before those of the struct, as JSON without braces.
  template <class T>
  void write_object(const T& value, std::string_view first = {}) {
    m_out += '{';
    m_out += first;
    bool more = !first.empty();
    each_field(value, [&](std::string_view name, const auto& member) {
      if (more) m_out += ',';
      more = true;
      append_json_string(m_out, name);
      m_out += ':';
      write(member);
    });
    m_out += '}';
  }

  std::string take() { return std::move(m_out); }

 private:
  std::string m_out;
};

// Keeps the first error, with the path of the member; what follows it is not read.
class JsonReader {
 public:
  explicit JsonReader(std::string_view what) : m_path(what) {}

  template <class T>
  void read(const boost::json::value& json, T& out) {
    if constexpr (std::same_as<T, bool>) {
      if (const bool* value = json.if_bool()) out = *value;
      require(json.is_bool(), "true or false");
    } else if constexpr (std::unsigned_integral<T>) {
      read_unsigned(json, out);
    } else if constexpr (std::same_as<T, double>) {
      if (require(json.is_number(), "a number")) out = json.to_number<double>();
    } else if constexpr (std::same_as<T, std::string>) {
      if (require(json.is_string(), "a text")) out.assign(json.get_string().data(), json.get_string().size());
    } else if constexpr (std::is_enum_v<T>) {
      read_enum(json, out);
    } else {
      read_object(json, out);
    }
  }

  template <class T>
  void read(const boost::json::value& json, std::optional<T>& out) {
    if (json.is_null()) return;
    read(json, out.emplace());
  }

  template <class T>
  void read(const boost::json::value& json, std::vector<T>& out) {
    if (!require(json.is_array(), "a list")) return;
    for (const boost::json::value& element : json.get_array())
      within(fmt::format("[{}]", out.size()), [&] { read(element, out.emplace_back()); });
  }

  void read(const boost::json::value& json, std::map<std::string, std::uint64_t>& out) {
    if (!require(json.is_object(), "an object")) return;
    for (const auto& member : json.get_object()) {
      const std::string name(member.key());
      within("." + name, [&] { read(member.value(), out[name]); });
    }
  }

  template <class T>
  void read_object(const boost::json::value& json, T& out) {
    if (!require(json.is_object(), "an object")) return;
    const boost::json::object& object = json.get_object();
    each_field(out, [&]<class Member>(std::string_view name, Member& member) {
      within(fmt::format(".{}", name), [&] {
        // Absent from an older daemon, which does not know it: the member keeps its default.
        if (const boost::json::value* value = object.if_contains({name.data(), name.size()})) read(*value, member);
      });
    });
  }

  const std::optional<Error>& error() const { return m_error; }

 private:
  template <class T>
  void read_unsigned(const boost::json::value& json, T& out) {
    std::uint64_t value = 0;
    bool good = false;
    if (const auto* number = json.if_uint64()) {
      value = *number;
      good = true;
    } else if (const auto* integer = json.if_int64(); integer != nullptr && *integer >= 0) {
      value = static_cast<std::uint64_t>(*integer);
      good = true;
    }
    if (require(good && value <= std::numeric_limits<T>::max(), "an unsigned integer in range"))
      out = static_cast<T>(value);
  }

  template <class T>
  void read_enum(const boost::json::value& json, T& out) {
    if (!require(json.is_string(), "a text")) return;
    const std::string_view name(json.get_string().data(), json.get_string().size());
    for (const T candidate : all_values(T{})) {
      if (to_string(candidate) == name) {
        out = candidate;
        return;
      }
    }
    require(false, "a word known to this version");
  }

  template <class F>
  void within(std::string_view step, F&& f) {
    if (m_error) return;
    const std::size_t size = m_path.size();
    m_path += step;
    f();
    m_path.resize(size);
  }

  bool require(bool condition, std::string_view expected) {
    if (!condition && !m_error) m_error = Error{Errc::malformed, fmt::format("{} has to be {}", m_path, expected)};
    return condition;
  }

  std::string m_path;
  std::optional<Error> m_error;
};

template <class T>
std::string object_to_json(const T& value) {
  JsonWriter writer;
  writer.write_object(value);
  return writer.take();
}

// `what`: the document, in words of an error.
template <class T>
Result<T> object_from_json(std::string_view text, std::string_view what) {
  QUIPU_TRY_ASSIGN(const boost::json::value json, parse_json(text, kMaxReplySize));
  JsonReader reader(what);
  T out;
  reader.read(json, out);
  if (reader.error()) return std::unexpected(*reader.error());
  return out;
}

}  // namespace quipu::control
