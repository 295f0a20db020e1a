// SPDX-License-Identifier: Apache-2.0
#include "daemon/reasons.h"

#include "protocol/policy.h"

namespace quipu::daemon {

std::string_view to_string(Reason reason) {
  switch (reason) {
    case Reason::configured_differently: return "the two ends are configured differently";
    case Reason::blocked: return "data is blocked for lack of a QKD key";
    case Reason::nothing_lacks_here: return "the KMS here reports no error, look at the other site, too";
    case Reason::keys_kept: return "the present keys stay in use, there are no new ones";
    case Reason::fewer_keys: return "the present keys hold fewer QKD keys than there are sources";
    case Reason::no_endpoint: return "no endpoint of the peer is known: it has to call first";
    case Reason::nothing_sent_yet: return "nothing to send yet";
    case Reason::nothing_sent_lately: return "nothing was sent for longer than a key may live";
    case Reason::no_keys_here: return protocol::to_string(protocol::Lack::keys_here);
    case Reason::unknown_keys_here: return protocol::to_string(protocol::Lack::unknown_here);
    case Reason::unknown_keys_there: return protocol::to_string(protocol::Lack::unknown_there);
    case Reason::no_kms_there: return protocol::to_string(protocol::Lack::keys_there);
    case Reason::busy_there: return "the peer refuses: too many handshakes at once";
    case Reason::answered_before: return "the peer refuses: it has answered this handshake before";
    case Reason::stamps_behind:
      return "the peer refuses: it has seen later handshakes of this site (a restored backup, or a clone)";
    case Reason::silent:
      return "nothing comes back from the peer: is the network to it whole, in both directions, and are the public "
             "keys and the pre-shared key still right at both ends?";
    case Reason::unanswered:
      return "packets come from the peer, and no handshake succeeds: do large datagrams reach it, and do the two KMSs "
             "give the same keys?";
    case Reason::no_answer_yet: return "the peer has not answered yet";
    case Reason::no_answer:
      return "the peer does not answer: is it there, do the firewalls let UDP through, are both public keys and the "
             "pre-shared key right at both ends?";
    case Reason::count_: break;
  }
  return "unknown";
}

}  // namespace quipu::daemon
