#include "egress/address_guard.hpp"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>

namespace patchbay::egress {
namespace {

Address address(const std::string& text) { return Network::parse(text).value().address; }

TEST(AddressGuard, RefusesEveryKindOfPrivateAddress) {
  const auto guard = AddressGuard::create({}).value();
  for (const char* text : {"127.0.0.1",
                           "127.255.255.254",
                           "0.0.0.0",
                           "0.1.2.3",
                           "10.0.0.1",
                           "100.64.0.1",
                           "100.127.255.1",
                           "169.254.169.254",
                           "172.16.0.1",
                           "172.31.255.255",
                           "192.168.1.1",
                           "192.0.0.8",
                           "192.0.2.1",
                           "198.18.0.1",
                           "198.19.255.255",
                           "198.51.100.7",
                           "203.0.113.9",
                           "224.0.0.1",
                           "239.1.1.1",
                           "240.0.0.1",
                           "255.255.255.255",
                           "::",
                           "::1",
                           "::10.0.0.1",
                           "::ffff:10.0.0.1",
                           "::ffff:127.0.0.1",
                           "fe80::1",
                           "fc00::1",
                           "fd12:3456::1",
                           "fec0::1",
                           "ff02::1",
                           "2001:db8::1",
                           "2002:7f00:1::",
                           "2001::1",
                           "64:ff9b::10.0.0.1",
                           "64:ff9b:1::1",
                           "100::1",
                           "3fff::1"}) {
    const auto checked = guard.check(address(text), true);
    ASSERT_FALSE(checked) << text;
    EXPECT_EQ(checked.error().code, Errc::denied) << text;
  }
}

TEST(AddressGuard, LetsThePublicInternetThrough) {
  const auto guard = AddressGuard::create({}).value();
  for (const char* text :
       {"1.1.1.1", "8.8.8.8", "140.82.121.6", "100.63.255.255", "100.128.0.0", "172.15.0.1", "172.32.0.1", "198.20.0.1",
        "223.255.255.255", "2606:4700:4700::1111", "2a00:1450::1", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"}) {
    EXPECT_TRUE(guard.check(address(text), true)) << text;
  }
}

TEST(AddressGuard, PlainHttpStaysInTheConfiguredNetworks) {
  const auto guard = AddressGuard::create({"10.1.2.0/24", "[fd00::1]/128", "127.0.0.1"}).value();
  for (const char* text : {"10.1.2.255", "fd00::1", "127.0.0.1", "::ffff:10.1.2.3"}) {
    EXPECT_TRUE(guard.check(address(text), false)) << text;
    EXPECT_TRUE(guard.check(address(text), true)) << text;
  }
  for (const char* text : {"10.1.3.0", "fd00::2", "127.0.0.2"}) EXPECT_FALSE(guard.check(address(text), true)) << text;
  const auto checked = guard.check(address("8.8.8.8"), false);
  ASSERT_FALSE(checked);
  EXPECT_EQ(checked.error().message, "plain http to 8.8.8.8: only https leaves this network");
}

TEST(AddressGuard, RefusesNetworksThatAreNone) {
  for (const char* text :
       {"", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/-1", "10.0.0/8", "localhost", "::1/129", "[::1", "1.2.3.4/8x"}) {
    const auto guard = AddressGuard::create({text});
    ASSERT_FALSE(guard) << text;
    EXPECT_EQ(guard.error().code, Errc::invalid);
  }
}

TEST(AddressGuard, ReadsSocketAddresses) {
  sockaddr_in in{};
  in.sin_family = AF_INET;
  in.sin_addr.s_addr = htonl(0x0a000001);
  EXPECT_EQ(to_string(to_address(reinterpret_cast<const sockaddr&>(in)).value()), "10.0.0.1");
  sockaddr_in6 in6{};
  in6.sin6_family = AF_INET6;
  in6.sin6_addr = in6addr_loopback;
  EXPECT_EQ(to_string(to_address(reinterpret_cast<const sockaddr&>(in6)).value()), "::1");
  sockaddr other{};
  other.sa_family = AF_UNIX;
  EXPECT_FALSE(to_address(other));
}

}  // namespace
}  // namespace patchbay::egress
