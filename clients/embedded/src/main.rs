//! A publisher without an operating system: everything of the client is in it, and nothing of std.
//!
//! ```text
//! UART registers ──feed──> Device ──next_event──> LED register
//!                <─output──        <──set, publish── sensor register
//! ```
//!
//! The registers are made up, and read and written as volatile memory, so that the linker can leave nothing out. It is built
//! and measured (`./measure`), not run: `examples/driver.rs` runs the same client on this machine.

#![no_std]
#![no_main]

use core::ptr::{read_volatile, write_volatile};

use tickwire::device::{Action, Buffers, Device, Event, JoinOptions, Options};
use tickwire::wire::Key;

/// Where the sensor, the clock, the line and a light would be.
const SENSOR: *const u32 = 0x4000_0000 as *const u32;
const MILLISECONDS: *const u64 = 0x4000_0008 as *const u64;
const RECEIVED: *const u32 = 0x4000_0010 as *const u32;
const SEND: *mut u32 = 0x4000_0014 as *mut u32;
const LINE: *mut u32 = 0x4000_0018 as *mut u32;
const LIGHT: *mut u32 = 0x4000_001c as *mut u32;
const ALARM: *mut u32 = 0x4000_0020 as *mut u32;

/// Of what the line has received: there is a byte.
const IS_BYTE: u32 = 0x100;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    halt()
}

fn halt() -> ! {
    loop {
        core::hint::spin_loop();
    }
}

fn read(register: *const u32) -> u32 {
    // SAFETY: a register of this device.
    unsafe { read_volatile(register) }
}

fn write(register: *mut u32, value: u32) {
    // SAFETY: a register of this device.
    unsafe { write_volatile(register, value) }
}

/// Where the processor begins.
#[unsafe(no_mangle)]
pub extern "C" fn _start() -> ! {
    let (mut input, mut output, mut control) = ([0; 256], [0; 512], [0; 192]);
    let buffers = Buffers { input: &mut input, output: &mut output, control: &mut control };
    let options = Options { seed: read(SENSOR), ..Options::default() };
    let Ok(mut device) = Device::<1>::new(buffers, options) else { halt() };
    device.connect();
    // A room that is not wanted cannot be full.
    let _ = device.join(0, "sensors/kitchen", JoinOptions::BOTH);
    loop {
        turn(&mut device);
    }
}

fn turn(device: &mut Device<'_, 1>) {
    // SAFETY: a register of this device.
    match device.poll(unsafe { read_volatile(MILLISECONDS) }) {
        Action::Open => {
            write(LINE, 1);
            device.opened();
        }
        Action::Shut => {
            write(LINE, 0);
            device.lost();
        }
        Action::Nothing => {}
    }
    let reading = read(SENSOR).to_be_bytes();
    // What finds no place comes again with the next reading.
    let _ = device.set(0, Key::member(0), &reading);
    let _ = device.publish_urgent(0, &reading);
    while device.space() > 0 {
        let received = read(RECEIVED);
        if received & IS_BYTE == 0 {
            break;
        }
        device.feed(&[(received & 0xff) as u8]);
    }
    while let Some(event) = device.next_event() {
        if let Event::Value { payload: [first, ..], .. } | Event::Message { payload: [first, ..], .. } = event {
            write(LIGHT, (*first).into());
        }
    }
    loop {
        let ready = device.output();
        let len = ready.len();
        if len == 0 {
            break;
        }
        // This line takes every byte; where one waits, tell how many went, and come back.
        for byte in ready {
            write(SEND, (*byte).into());
        }
        device.written(len);
    }
    // The processor sleeps here until then, or until a byte comes. 0: what has come can be read on.
    write(ALARM, device.wait() as u32);
}
