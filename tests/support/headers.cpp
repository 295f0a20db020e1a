// SPDX-License-Identifier: Apache-2.0
// Nothing: what the tests' precompiled header belongs to.
