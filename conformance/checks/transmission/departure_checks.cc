// SPDX-License-Identifier: BSD-3-Clause
// Checks of what stays at a server when its clients have gone, in whatever way. Derived; docs/decisions/0002.
#include <array>

#include "conformance/checks/options/haggling.h"
#include "conformance/checks/transmission/asking.h"
#include "conformance/tls/tls_filter.h"
#include "engine/base/check.h"

namespace nbdspec::conformance {

namespace {

// --- The ways to go: the session ends with the function ---

using Way = Step (*)(CheckContext& context);

Step BeforeGreeting(CheckContext& context) {
  NBDSPEC_TRY(session, context.Connect());
  return {};
}

Step AfterGreeting(CheckContext& context) {
  NBDSPEC_TRY(session, context.Connect());
  NBDSPEC_TRY(greeting, session.Next());
  return {};
}

// In the middle of a message, `sent_bytes` of which are sent.
Step InMessage(Session& session, const ClientMessage& message, std::size_t sent_bytes) {
  session.SendRaw(ByteView(Encode(message)).first(sent_bytes), "the beginning of " + Describe(message));
  return {};
}

Step InClientFlags(CheckContext& context) {
  NBDSPEC_TRY(session, context.Connect());
  NBDSPEC_TRY(greeting, session.Next());
  return InMessage(session, ClientFlags{}, 2);
}

Step InOption(CheckContext& context) {
  NBDSPEC_TRY(session, context.Greet());
  return InMessage(session, Option{.option = OptionType::kList}, 10);
}

Step InDataOfOption(CheckContext& context) {
  NBDSPEC_TRY(session, context.Greet());
  return InMessage(session, Option{.option = kUnknownOption, .payload = Bytes(1000)}, 200);
}

// In the handshake of TLS: `what` sends it, given the first message of a client's. Where the server has no TLS, before
// it.
template <typename What>
Step InHandshake(CheckContext& context, What what) {
  NBDSPEC_TRY(session, context.HagglePlain());
  NBDSPEC_TRY(replies, session.Ask(kStarttls));
  if (IsAcknowledged(replies)) {
    auto client = TlsFilter::Make(TlsFilter::End::kClient, {});
    NBDSPEC_CHECK(client);
    what(session, client->TakeOutput());
  }
  return {};
}

Step InTlsRecord(CheckContext& context) {
  return InHandshake(context, [](Session& session, const Bytes& hello) {
    session.SendRaw(ByteView(hello).first(4), "4 bytes of the header of a TLS record");
  });
}

Step InHello(CheckContext& context) {
  return InHandshake(context, [](Session& session, const Bytes& hello) {
    session.SendRaw(ByteView(hello).first(hello.size() / 2), "half a ClientHello");
  });
}

Step AfterHello(CheckContext& context) {
  return InHandshake(context, [](Session& session, const Bytes& hello) { session.SendRaw(hello, "a ClientHello"); });
}

// With what the server makes of it unread, or some of it read.
Step AfterServersHello(CheckContext& context) {
  return InHandshake(context, [](Session& session, const Bytes& hello) {
    session.SendRaw(hello, "a ClientHello");
    (void)session.ExpectSilence();
  });
}

Step AfterEntering(CheckContext& context) {
  NBDSPEC_TRY(entered, context.Enter());
  return {};
}

Step InRequest(CheckContext& context) {
  NBDSPEC_TRY(entered, context.Enter());
  return InMessage(entered.session, Request{.length = 512}, 14);
}

Step InDataOfWrite(CheckContext& context) {
  NBDSPEC_TRY(entered, context.Enter());
  const auto scratch = ScratchRange(entered, 1);
  if (!scratch || !context.Offers(kWritable)) {
    return {};
  }
  const Request write = WriteOf(scratch->begin, Bytes(scratch->length()));
  return InMessage(entered.session, write, Encode(ClientMessage(write)).size() / 2);
}

Step WithRepliesUnread(CheckContext& context) {
  constexpr int kReads = 4;
  NBDSPEC_TRY(entered, context.Enter());
  NBDSPEC_TRY(read, FirstRead(entered));
  for (int i = 0; i < kReads; ++i) {
    read.cookie = entered.session.NextCookie();
    entered.session.Send(read);
  }
  return {};
}

Step ByDisc(CheckContext& context) {
  NBDSPEC_TRY(entered, context.Enter());
  entered.session.Disconnect();
  return {};
}

using Ways = std::span<const Way>;
constexpr std::array<Way, 11> kWays = {BeforeGreeting, AfterGreeting, InClientFlags,    InOption,
                                       InDataOfOption, InTlsRecord,   AfterEntering,    InRequest,
                                       InDataOfWrite,  ByDisc,        WithRepliesUnread};

// Of a server that has TLS.
constexpr std::array<Way, 4> kWaysIntoTls = {InTlsRecord, InHello, AfterHello, AfterServersHello};

// --- What they leave ---

using Clock = Transport::Clock;

constexpr int kFirstClients = 100;  // After which a server has what it keeps in stock.
// Of each of the two rounds that follow: as many as come and go in kRoundTime, and never fewer than tell growth from
// what the server still puts in stock.
constexpr int kClientsMin = 200;
constexpr int kClientsMax = 450;
constexpr std::chrono::milliseconds kRoundTime{1200};

// Returns how many have come and gone in `ways` when there were `count_min`, and `count_max` or the time was over.
std::expected<int, Judgement> ComeAndGo(CheckContext& context, Ways ways, int count_min, int count_max) {
  const auto until = Clock::now() + kRoundTime;
  constexpr int kParts = 6;  // Of the time that the check has left, one for clients that take long.
  const auto latest = Clock::now() + (context.limits.deadline - Clock::now()) / kParts;
  context.limits.deadline - context.limits.reply_timeout;  // What goes wrong then may be late alone.
  int gone = 0;
  for (; gone < count_max && Clock::now() < (gone < count_min ? latest : until); ++gone) {
    const auto went = ways[static_cast<std::size_t>(gone) % ways.size()](context);
    if (!went && went.error().kind != Judgement::Kind::kNotApplicable) {
      return Stop(went.error());
    }
  }
  return gone;
}

// What the server uses, and how many clients have gone by then.
struct Mark {
  Usage usage;
  int client_count = 0;
};

// What a server may not use more of from client to client: `more` for each of `clients`.
struct Quantity {
  std::string_view name;
  std::uint64_t Usage::* used;
  std::uint64_t more;
  std::uint64_t clients;

  [[nodiscard]] bool Grew(const Mark& before, const Mark& after) const {
    const std::uint64_t was = before.usage.*used;
    const std::uint64_t is = after.usage.*used;
    return is > was && (is - was) * clients >= more * ClientsBetween(before, after);
  }

  // Whether it grows on as it grew before: what a server puts in stock is less and less.
  [[nodiscard]] bool GrowsOn(const Mark& first, const Mark& second, const Mark& third) const {
    return Grew(first, second) && Grew(second, third) &&
           4 * (third.usage.*used - second.usage.*used) * ClientsBetween(first, second) >=
               3 * (second.usage.*used - first.usage.*used) * ClientsBetween(second, third);
  }

 private:
  static std::uint64_t ClientsBetween(const Mark& before, const Mark& after) {
    return static_cast<std::uint64_t>(after.client_count - before.client_count);
  }
};
constexpr std::array<Quantity, 3> kQuantities = {{
    {"descriptors", &Usage::descriptor_count, 1, 20},
    {"threads", &Usage::thread_count, 1, 20},
    {"bytes of memory", &Usage::memory_bytes, 1024, 1},
}};

// Takes the mark after `client_count` clients, in whose place one is there and says nothing: the server has time to be
// rid of the others, and more if it seems to have grown since `before`.
std::expected<Mark, Judgement> TakeMark(CheckContext& context, int client_count, const Mark* before = nullptr) {
  constexpr int kPausesMax = 10;
  NBDSPEC_TRY(session, context.Connect());
  NBDSPEC_TRY(greeting, session.Next());
  Mark mark{.client_count = client_count};
  bool grew = true;
  for (int i = 0; grew && i < kPausesMax; ++i) {
    (void)session.ExpectSilence();
    const auto usage = context.peer.ReadUsage();
    if (!usage) {
      return Stop(NotApplicable("what the server uses cannot be seen"));
    }
    mark.usage = *usage;
    grew = before != nullptr &&
           std::ranges::any_of(kQuantities, [&](const Quantity& quantity) { return quantity.Grew(*before, mark); });
  }
  return mark;
}

// Whether the processor is busy with the server while nobody wants anything of it.
std::expected<bool, Judgement> IsBusy(CheckContext& context) {
  constexpr int kMarks = 3;
  constexpr std::chrono::milliseconds kMuch{150};
  constexpr int kPart = 4;  // Of the time that passes: there may be others.
  const auto begin = Clock::now();
  NBDSPEC_TRY(first, TakeMark(context, 0));
  std::chrono::milliseconds spent{0};
  for (int i = 0; i < kMarks; ++i) {
    NBDSPEC_TRY(later, TakeMark(context, 0));
    spent = later.usage.processor_time - first.usage.processor_time;
  }
  return spent >= kMuch && spent * kPart >= Clock::now() - begin;
}

Judgement NothingStays(CheckContext& context, Ways ways) {
  constexpr std::string_view kAllowed = "a server that is after its clients what it was before them";
  NBDSPEC_TRY(seen, TakeMark(context, 0));  // Not applicable where nothing can be.
  std::vector<Mark> marks;
  int client_count = 0;
  for (const bool is_first : {true, false, false}) {
    const int count_min = is_first ? kFirstClients : kClientsMin;
    NBDSPEC_TRY(gone, ComeAndGo(context, ways, count_min, is_first ? kFirstClients : kClientsMax));
    client_count += gone;
    if (gone < count_min) {
      return NotApplicable(fmt::format("in the time for this check only {} clients can come and go", client_count));
    }
    NBDSPEC_TRY(mark, TakeMark(context, client_count, marks.empty() ? nullptr : &marks.back()));
    marks.push_back(mark);
  }
  for (const Quantity& quantity : kQuantities) {
    if (quantity.GrowsOn(marks[0], marks[1], marks[2])) {
      return Broken(fmt::format("{} {} after {} clients, {} after {}, {} after {}", marks[0].usage.*quantity.used,
                                quantity.name, marks[0].client_count, marks[1].usage.*quantity.used,
                                marks[1].client_count, marks[2].usage.*quantity.used, marks[2].client_count),
                    kAllowed);
    }
  }
  bool is_busy = true;
  for (int i = 0; is_busy && i < 2; ++i) {
    NBDSPEC_TRY(busy, IsBusy(context));
    is_busy = busy;
  }
  NBDSPEC_TRY(served, AfterEntering(context));
  return Require(!is_busy, fmt::format("the processor is busy when {} clients have gone", client_count), kAllowed);
}

Judgement NothingStaysOfHandshakes(CheckContext& context) {
  {  // Closed before the next one.
    NBDSPEC_TRY(session, context.HagglePlain());
    NBDSPEC_TRY(replies, session.Ask(kStarttls));
    if (!IsAcknowledged(replies)) {
      return NotApplicable("the server has no TLS: STARTTLS was answered " + TypesOf(replies));
    }
  }
  return NothingStays(context, kWaysIntoTls);
}

}  // namespace

std::vector<Check> DepartureChecks() {
  return {
      {kSessionDepartedNoGrowth,
       "A thousand clients that come and go, in the middle of anything, leave no descriptors, threads, memory or work.",
       [](CheckContext& context) { return NothingStays(context, kWays); }},
      {kSub<kSessionDepartedNoGrowth, "tls-handshake">,
       "Nor do clients that go in the middle of the handshake of TLS, and the next client is served.",
       NothingStaysOfHandshakes, kFixed, Setup::kTlsDemanded},
  };
}

}  // namespace nbdspec::conformance
