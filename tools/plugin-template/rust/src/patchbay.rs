//! patchbay/plugin.h in Rust, ABI 1.0: the same structs, and a little comfort. No standard library: a plugin imports
//! nothing of the system but the allocator.
#![allow(dead_code)]

use alloc::string::String;
use alloc::vec::Vec;
use core::alloc::{GlobalAlloc, Layout};
use core::ffi::c_void;
use core::mem::size_of;
use core::ptr::null;

pub const ABI: u32 = 0x0001_0000;
pub const OK: i32 = 0;
pub const E_INTERNAL: i32 = -1;
pub const E_REMOTE: i32 = -3;
pub const E_RATE: i32 = -4;
pub const E_ARG: i32 = -16;
pub const E_UNSUPPORTED: i32 = -17;
pub const E_AUTH: i32 = -18;
pub const E_GONE: i32 = -19;
pub const EXPAND: u32 = 1;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct Str {
    pub ptr: *const u8,
    pub len: usize,
}
unsafe impl Sync for Str {}
impl Str {
    pub const NONE: Str = Str { ptr: null(), len: 0 };
    pub const fn of(s: &str) -> Str {
        Str { ptr: s.as_ptr(), len: s.len() }
    }
    /// What the host hands out is UTF-8; anything else reads as empty.
    pub fn get<'a>(self) -> &'a str {
        if self.ptr.is_null() || self.len == 0 {
            return "";
        }
        core::str::from_utf8(unsafe { core::slice::from_raw_parts(self.ptr, self.len) }).unwrap_or("")
    }
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct Header {
    pub name: Str,
    pub value: Str,
}

#[repr(C)]
pub struct Call {
    pub size: u32,
    pub attempt: u32,
    pub task: u64,
    pub watch: u64,
    pub account: u64,
    pub now_ms: i64,
    pub deadline_ms: i64,
    pub name: Str,
    pub params: Str,
    pub key: Str,
    pub state: Str,
    pub shared: Str,
    pub base_url: Str,
    pub state_version: u32,
    pub reserved: u32,
    pub callback_url: Str,
    pub callback_secret: Str,
}

#[repr(C)]
pub struct Request {
    pub size: u32,
    pub verified: u32,
    pub method: Str,
    pub query: Str,
    pub body: Str,
    pub headers: *const Header,
    pub header_count: usize,
}

#[repr(C)]
pub struct Reply {
    pub size: u32,
    pub status: i32,
    pub task: u64,
    pub tag: u64,
    pub now_ms: i64,
    pub http_status: u32,
    pub reserved: u32,
    pub body: Str,
    pub headers: *const Header,
    pub header_count: usize,
}
impl Reply {
    pub fn ok(&self) -> bool {
        self.status == OK && (200..300).contains(&self.http_status)
    }
    pub fn header(&self, name: &str) -> &str {
        if self.header_count == 0 {
            return "";
        }
        let all = unsafe { core::slice::from_raw_parts(self.headers, self.header_count) };
        all.iter().find(|h| h.name.get() == name).map_or("", |h| h.value.get())
    }
}

#[repr(C)]
pub struct Http {
    pub size: u32,
    pub flags: u32,
    pub account: u64,
    pub auth: Str,
    pub method: Str,
    pub url: Str,
    pub body: Str,
    pub headers: *const Header,
    pub header_count: usize,
}

#[repr(C)]
pub struct Event {
    pub size: u32,
    pub reserved: u32,
    pub time_ms: i64,
    pub key: Str,
    pub data: Str,
}

#[repr(C)]
pub struct End {
    pub size: u32,
    pub status: i32,
    pub message: Str,
    pub output: Str,
    pub content_type: Str,
    pub state: Str,
    pub route: Str,
    pub next_ms: i64,
    pub http_status: u32,
    pub reserved: u32,
}
impl End {
    pub fn new(status: i32) -> End {
        End {
            size: size_of::<End>() as u32,
            status,
            message: Str::NONE,
            output: Str::NONE,
            content_type: Str::NONE,
            state: Str::NONE,
            route: Str::NONE,
            next_ms: 0,
            http_status: 0,
            reserved: 0,
        }
    }
}

#[repr(C)]
pub struct Json {
    pub size: u32,
    pub reserved: u32,
    pub get: unsafe extern "C" fn(*const Host, Str, Str, *mut Str) -> i32,
    pub quote: unsafe extern "C" fn(*const Host, Str, *mut Str) -> i32,
    pub kind: unsafe extern "C" fn(*const Host, Str, Str, *mut u32, *mut u64) -> i32,
}

#[repr(C)]
pub struct Host {
    pub size: u32,
    pub abi: u32,
    pub log: unsafe extern "C" fn(*const Host, u64, u32, Str),
    pub metric: unsafe extern "C" fn(*const Host, Str, f64),
    pub emit: unsafe extern "C" fn(*const Host, u64, *const Event) -> i32,
    pub forward: unsafe extern "C" fn(*const Host, u64, Str) -> i32,
    pub finish: unsafe extern "C" fn(*const Host, u64, *const End) -> i32,
    pub http: unsafe extern "C" fn(*const Host, u64, u64, *const Http) -> i32,
    pub sleep: unsafe extern "C" fn(*const Host, u64, u64, i64) -> i32,
    pub connect: unsafe extern "C" fn(*const Host, u64, *const Http) -> i32,
    pub send: unsafe extern "C" fn(*const Host, u64, *const c_void) -> i32,
    pub extension: unsafe extern "C" fn(*const Host, Str) -> *const c_void,
}

pub type Operation = Option<unsafe extern "C" fn(*mut c_void, *const Call)>;

#[repr(C)]
pub struct Plugin {
    pub size: u32,
    pub abi: u32,
    pub needs: u32,
    pub flags: u32,
    pub manifest: Str,
    pub create: unsafe extern "C" fn(*const Host, Str, *mut *mut c_void) -> i32,
    pub destroy: unsafe extern "C" fn(*mut c_void),
    pub watch: Operation,
    pub stop: Operation,
    pub poll: Operation,
    pub webhook: Option<unsafe extern "C" fn(*mut c_void, *const Call, *const Request)>,
    pub socket: Option<unsafe extern "C" fn(*mut c_void, *const Call, *const c_void)>,
    pub reaction: Operation,
    pub resume: unsafe extern "C" fn(*mut c_void, *const Reply),
    pub extension: Option<unsafe extern "C" fn(Str) -> *const c_void>,
}
unsafe impl Sync for Plugin {}

/// The host, with its JSON.
#[derive(Clone, Copy)]
pub struct Link {
    host: *const Host,
    json: *const Json,
}
impl Link {
    pub unsafe fn new(host: *const Host) -> Option<Link> {
        let json = ((*host).extension)(host, Str::of("patchbay.json/1")) as *const Json;
        if json.is_null() { None } else { Some(Link { host, json }) }
    }
    /// The value at an RFC 6901 pointer: a string's text, anything else as JSON; "" when there is none.
    pub fn look(&self, json: Str, pointer: &str) -> String {
        let mut value = Str::NONE;
        let status = unsafe { ((*self.json).get)(self.host, json, Str::of(pointer), &mut value) };
        if status == OK { value.get().into() } else { String::new() }
    }
    pub fn quote(&self, text: &str) -> String {
        let mut json = Str::NONE;
        let status = unsafe { ((*self.json).quote)(self.host, Str::of(text), &mut json) };
        if status == OK { json.get().into() } else { "\"\"".into() }
    }
    pub fn count(&self, json: Str, pointer: &str) -> u64 {
        let (mut kind, mut count) = (0, 0);
        unsafe { ((*self.json).kind)(self.host, json, Str::of(pointer), &mut kind, &mut count) };
        count
    }
    /// data None: the event is the request's body.
    pub fn emit(&self, task: u64, key: &str, data: Option<&str>) -> i32 {
        let event = Event { size: size_of::<Event>() as u32, reserved: 0, time_ms: 0, key: Str::of(key), data: data.map_or(Str::NONE, Str::of) };
        unsafe { ((*self.host).emit)(self.host, task, &event) }
    }
    pub fn finish(&self, task: u64, end: &End) {
        unsafe { ((*self.host).finish)(self.host, task, end) };
    }
    pub fn end(&self, task: u64, status: i32, message: &str) {
        let mut end = End::new(status);
        end.message = Str::of(message);
        self.finish(task, &end)
    }
    /// resume() brings the answer, with this tag.
    pub fn ask(&self, c: &Call, tag: u64, method: &str, url: &str, body: &str, headers: &[(&str, &str)]) {
        let list: Vec<Header> = headers.iter().map(|(n, v)| Header { name: Str::of(n), value: Str::of(v) }).collect();
        let out = Http {
            size: size_of::<Http>() as u32,
            flags: EXPAND,
            account: c.account,
            auth: Str::NONE,
            method: Str::of(method),
            url: Str::of(url),
            body: Str::of(body),
            headers: list.as_ptr(),
            header_count: list.len(),
        };
        let status = unsafe { ((*self.host).http)(self.host, c.task, tag, &out) };
        if status != OK {
            self.end(c.task, status, "")
        }
    }
    /// What an answer that was not wanted means.
    pub fn fail(&self, a: &Reply) {
        let message = self.look(a.body, "/message");
        let mut end = End::new(match (a.status, a.http_status) {
            (status, _) if status != OK => status,
            (_, 401 | 403) => E_AUTH,
            (_, 404 | 410) => E_GONE,
            (_, 429) => E_RATE,
            (_, 400..=499) => E_ARG,
            _ => E_REMOTE,
        });
        end.message = if a.status != OK { a.body } else { Str::of(&message) };
        end.next_ms = a.header("retry-after").parse::<u32>().map_or(0, |s| i64::from(s) * 1000);
        self.finish(a.task, &end)
    }
}

extern "C" {
    fn malloc(size: usize) -> *mut u8;
    fn aligned_alloc(align: usize, size: usize) -> *mut u8;
    fn free(memory: *mut u8);
}

struct Malloc;
unsafe impl GlobalAlloc for Malloc {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.align() <= 16 { malloc(layout.size()) } else { aligned_alloc(layout.align(), (layout.size() + layout.align() - 1) & !(layout.align() - 1)) }
    }
    unsafe fn dealloc(&self, memory: *mut u8, _: Layout) {
        free(memory)
    }
}
#[global_allocator]
static MALLOC: Malloc = Malloc;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    unsafe { core::arch::asm!("ud2", options(noreturn)) } // the plugin's process ends, or the host that trusts it
}
// The core library names it, though nothing unwinds here; hidden, so that pbay_plugin_v1 stays the only export.
core::arch::global_asm!(".globl rust_eh_personality", ".hidden rust_eh_personality", "rust_eh_personality:", ".byte 0");
