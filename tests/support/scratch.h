// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>

namespace quipu::test {

// A folder that goes with the test.
class Scratch {
 public:
  Scratch() {
    std::string pattern = (std::filesystem::temp_directory_path() / "quipu-test-XXXXXX").string();
    EXPECT_NE(::mkdtemp(pattern.data()), nullptr);
    m_path = pattern;
  }

  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  ~Scratch() { std::filesystem::remove_all(m_path); }

  std::string path(std::string_view name) const { return m_path + "/" + std::string(name); }

  const std::string& root() const { return m_path; }

  std::string write(std::string_view name, std::string_view contents, mode_t mode = 0600) const {
    const std::string file = path(name);
    std::ofstream(file, std::ios::binary) << contents;
    EXPECT_EQ(::chmod(file.c_str(), mode), 0);
    return file;
  }

  std::string read(std::string_view name) const {
    std::ifstream in(path(name), std::ios::binary);
    EXPECT_TRUE(in.is_open()) << name;
    return {std::istreambuf_iterator<char>(in), {}};
  }

 private:
  std::string m_path;
};

// An environment variable for the life of the test.
class Environment {
 public:
  Environment(const char* name, const std::string& value) : m_name(name) { ::setenv(name, value.c_str(), 1); }

  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

  ~Environment() { ::unsetenv(m_name); }

 private:
  const char* m_name;
};

}  // namespace quipu::test
