#include "vault/assertion.hpp"

#include <memory>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

namespace patchbay::vault {
namespace {

using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;

std::string pem_of(EVP_PKEY* key) {
  const std::unique_ptr<BIO, decltype(&BIO_free)> bio(BIO_new(BIO_s_mem()), BIO_free);
  PEM_write_bio_PrivateKey(bio.get(), key, nullptr, nullptr, 0, nullptr, nullptr);
  char* text = nullptr;
  const auto size = BIO_get_mem_data(bio.get(), &text);
  return {text, static_cast<std::size_t>(size)};
}

bool verifies(EVP_PKEY* key, const std::string& text, const std::string& signature) {
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  const auto bytes = [](const std::string& of) { return reinterpret_cast<const unsigned char*>(of.data()); };
  return EVP_DigestVerifyInit(context.get(), nullptr, EVP_sha256(), nullptr, key) == 1 &&
         EVP_DigestVerify(context.get(), bytes(signature), signature.size(), bytes(text), text.size()) == 1;
}

// RFC 7523, 3, and RFC 7515, 3.1.
TEST(Assertion, SaysWhoWantsWhatAndIsSigned) {
  const Key key(EVP_RSA_gen(2048), EVP_PKEY_free);
  const Fields fields{{"client_email", Secret("robot@acme.example")}, {"private_key", Secret(pem_of(key.get()))}, {"key_id", Secret("k1")},
                      {"subject", Secret("ada@acme.example")}};
  const auto made = make_assertion(fields, "https://acme.example/token", "a b", from_millis(1'700'000'000'000));
  ASSERT_TRUE(made) << made.error().message;
  const std::string text(made->reveal());
  const auto first = text.find('.');
  const auto second = text.rfind('.');
  EXPECT_TRUE(verifies(key.get(), text.substr(0, second), *from_base64(text.substr(second + 1))));
  EXPECT_FALSE(verifies(key.get(), text.substr(0, second) + "x", *from_base64(text.substr(second + 1))));
  const auto header = nlohmann::json::parse(*from_base64(text.substr(0, first)));
  EXPECT_EQ(header, (nlohmann::json{{"alg", "RS256"}, {"typ", "JWT"}, {"kid", "k1"}}));
  const auto claims = nlohmann::json::parse(*from_base64(text.substr(first + 1, second - first - 1)));
  EXPECT_EQ(claims, (nlohmann::json{{"iss", "robot@acme.example"}, {"sub", "ada@acme.example"}, {"aud", "https://acme.example/token"}, {"scope", "a b"},
                                    {"iat", 1'700'000'000}, {"exp", 1'700'003'600}}));
}

TEST(Assertion, WhatIsNoKeyIsSaidWithoutShowingIt) {
  const auto made = make_assertion({{"private_key", Secret("a secret that is no key")}}, "x", "", from_millis(0));
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, Errc::invalid);
  EXPECT_THAT(made.error().message, ::testing::Not(::testing::HasSubstr("a secret")));
}

}  // namespace
}  // namespace patchbay::vault
