//! A provider in Rust, without crates.
#![no_std]
extern crate alloc;
mod patchbay;

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use core::ffi::c_void;
use patchbay::*;

const MANIFEST_LENGTH: usize = include_bytes!(env!("PATCHBAY_MANIFEST")).len();
#[link_section = ".patchbay.manifest"]
static MANIFEST: [u8; MANIFEST_LENGTH] = *include_bytes!(env!("PATCHBAY_MANIFEST"));

@if webhook
const WATCHED: u64 = 1;
const STOPPED: u64 = 2;
@end
const CREATED: u64 = 3;

fn url(c: &Call, path: &str) -> String {
    format!("{}{}", c.base_url.get(), path)
}

unsafe extern "C" fn create(host: *const Host, _config: Str, out: *mut *mut c_void) -> i32 {
    match Link::new(host) {
        None => E_UNSUPPORTED,
        Some(link) => {
            *out = Box::into_raw(Box::new(link)) as *mut c_void;
            OK
        }
    }
}
unsafe extern "C" fn destroy(this: *mut c_void) {
    drop(Box::from_raw(this as *mut Link))
}

@if webhook
/// The provider knows a hook by its URL, so telling it again does no harm.
unsafe extern "C" fn watch(this: *mut c_void, c: *const Call) {
    let (p, c) = (&*(this as *const Link), &*c);
    let body = format!(r#"{{"url":{},"secret":{}}}"#, p.quote(c.callback_url.get()), p.quote(c.callback_secret.get()));
    p.ask(c, WATCHED, "PUT", &url(c, "/hooks"), &body, &[])
}
unsafe extern "C" fn stop(this: *mut c_void, c: *const Call) {
    let (p, c) = (&*(this as *const Link), &*c);
    let body = format!(r#"{{"url":{}}}"#, p.quote(c.callback_url.get()));
    p.ask(c, STOPPED, "DELETE", &url(c, "/hooks"), &body, &[])
}
/// The host has checked the signature.
unsafe extern "C" fn webhook(this: *mut c_void, c: *const Call, r: *const Request) {
    let (p, c, r) = (&*(this as *const Link), &*c, &*r);
    let id = p.look(r.body, "/id");
    // Without an id it is a ping.
    let status = if id.is_empty() { OK } else { p.emit(c.task, &id, None) };
    p.end(c.task, status, "")
}
@end
@if poll
/// The state is the last id that was seen. The first poll only remembers where we are.
unsafe extern "C" fn poll(this: *mut c_void, c: *const Call) {
    let (p, c) = (&*(this as *const Link), &*c);
    // The tag is the call itself, which lives as long as its task.
    p.ask(c, c as *const Call as u64, "GET", &url(c, &format!("/items?after={}", c.state.get())), "", &[])
}
fn listed(p: &Link, c: &Call, a: &Reply) {
    let mut last = String::from(if c.state.len == 0 { "0" } else { "" });
    for i in 0..p.count(a.body, "/items") {
        let item = p.look(a.body, &format!("/items/{}", i));
        let id = p.look(Str::of(&item), "/id");
        if id.is_empty() || id == c.state.get() {
            continue;
        }
        if c.state.len > 0 && p.emit(a.task, &id, Some(&item)) != OK {
            return p.end(a.task, E_REMOTE, "an item is no JSON object");
        }
        last = id;
    }
    let mut end = End::new(OK);
    end.state = if last.is_empty() { Str::NONE } else { Str::of(&last) };
    p.finish(a.task, &end)
}
@end

/// The key is the same at every attempt, so a provider that knows it makes one item.
unsafe extern "C" fn reaction(this: *mut c_void, c: *const Call) {
    let (p, c) = (&*(this as *const Link), &*c);
    let body = format!(r#"{{"title":{}}}"#, p.quote(&p.look(c.params, "/title")));
    p.ask(c, CREATED, "POST", &url(c, "/items"), &body, &[("Idempotency-Key", c.key.get())])
}
fn created(p: &Link, a: &Reply) {
    let id = p.look(a.body, "/id");
    if id.is_empty() {
        return p.end(a.task, E_REMOTE, "the answer is no item");
    }
    let output = format!(r#"{{"id":{}}}"#, p.quote(&id));
    let mut end = End::new(OK);
    end.output = Str::of(&output);
    p.finish(a.task, &end)
}

unsafe extern "C" fn resume(this: *mut c_void, a: *const Reply) {
    let (p, a) = (&*(this as *const Link), &*a);
    match a.tag {
@if webhook
        STOPPED if a.status == OK && a.http_status == 404 => p.end(a.task, OK, ""),
@end
        _ if !a.ok() => p.fail(a),
        CREATED => created(p, a),
@if webhook
        _ => p.end(a.task, OK, ""),
@end
@if poll
        call => listed(p, &*(call as *const Call), a),
@end
    }
}

static PLUGIN: Plugin = Plugin {
    size: core::mem::size_of::<Plugin>() as u32,
    abi: ABI,
    needs: ABI,
    flags: 0,
    manifest: Str { ptr: MANIFEST.as_ptr(), len: MANIFEST_LENGTH },
    create,
    destroy,
@if webhook
    watch: Some(watch),
    stop: Some(stop),
    poll: None,
    webhook: Some(webhook),
@end
@if poll
    watch: None,
    stop: None,
    poll: Some(poll),
    webhook: None,
@end
    socket: None,
    reaction: Some(reaction),
    resume,
    extension: None,
};

#[no_mangle]
pub extern "C" fn pbay_plugin_v1() -> *const Plugin {
    &PLUGIN
}
