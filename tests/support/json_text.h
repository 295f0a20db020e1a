// SPDX-License-Identifier: Apache-2.0
// Writes JSON for files that are kept in the tree: one field a line, always the same octets for the same values.
#pragma once

#include <concepts>
#include <string>
#include <string_view>

#include "base/encoding.h"

namespace quipu::test {

// Names and texts must need no escapes.
class JsonText {
 public:
  JsonText& begin_object(std::string_view name = {}) { return open(name, '{'); }

  JsonText& end_object() { return close('}'); }

  JsonText& begin_array(std::string_view name) { return open(name, '['); }

  JsonText& end_array() { return close(']'); }

  JsonText& text(std::string_view name, std::string_view value) { return item(name, "\"" + std::string(value) + "\""); }

  JsonText& hex(std::string_view name, ByteView value) { return text(name, to_hex(value)); }

  template <std::unsigned_integral T>
  JsonText& number(std::string_view name, T value) {
    return item(name, std::to_string(value));
  }

  const std::string& str() const { return m_text; }

 private:
  JsonText& item(std::string_view name, std::string_view value) {
    if (!m_first) m_text += ",";
    if (!m_text.empty()) m_text += "\n";
    m_first = false;
    m_text.append(m_depth * 2, ' ');
    if (!name.empty()) m_text += "\"" + std::string(name) + "\": ";
    m_text += value;
    return *this;
  }

  JsonText& open(std::string_view name, char bracket) {
    item(name, std::string_view(&bracket, 1));
    m_first = true;
    ++m_depth;
    return *this;
  }

  JsonText& close(char bracket) {
    --m_depth;
    m_text += "\n";
    m_text.append(m_depth * 2, ' ');
    m_text += bracket;
    m_first = false;
    if (m_depth == 0) m_text += "\n";
    return *this;
  }

  std::string m_text;
  std::size_t m_depth = 0;
  bool m_first = true;
};

}  // namespace quipu::test
