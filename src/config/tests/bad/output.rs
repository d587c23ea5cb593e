//! Section `outputs`.

use super::*;

#[test]
fn outputs() {
    let cases = [
        ("id: air, driver: digital-output, pin: 4", "outputs[0].id: \"air\" is the id of a sensor already"),
        (
            "id: read, driver: digital-output, pin: 4",
            "outputs[0].id: would be taken for an action in `commands.allow`: choose another name",
        ),
        ("id: x, driver: digital-output", "outputs[0].pin: is missing: the BCM number, 22 for GPIO22"),
        (
            "id: x, driver: pwm, pin: 4",
            "outputs[0].pin: pin 4 has no hardware PWM; hardware PWM is on pins 12, 13, 18 and 19",
        ),
        (
            "id: x, driver: pca9685, channel: 1, bus: sim-1, pin: 4",
            "outputs[0].pin: means nothing to this driver; `pca9685` has `channel`",
        ),
        (
            "id: x, driver: pca9685, channel: 1, bus: sim-1, address: 0x70",
            "outputs[0].address: is no address of a PCA9685: it can have 0x40 to 0x77 but for 0x70, which is everybody's",
        ),
        (
            "id: x, driver: pca9685, channel: 1",
            "outputs[0].bus: is missing: the I2C bus, i2c-1, or sim-1 for a simulated one",
        ),
        (
            "id: x, driver: digital-output, pin: 4, safe: 20",
            "outputs[0].safe: is neither on nor off; write off or on",
        ),
        (
            "id: x, driver: digital-output, pin: 4, max: 20",
            "outputs[0].max: means nothing here; `digital-output` is on or off",
        ),
        (
            "id: x, driver: pwm, pin: 12, safe: 10%",
            "outputs[0].safe: unknown value \"10%\"; percent are written without their sign: 10",
        ),
        (
            "id: x, driver: digital-output, pin: 4, safe: on, max_on: 1h",
            "outputs[0].max_on: cannot be on for at most 1h: its safe level is on",
        ),
        (
            "id: x, driver: pwm, pin: 12, min: 50, max: 20",
            "outputs[0].max: leaves nothing to set: 50 to 20 %",
        ),
        (
            "id: x, driver: pwm, pin: 12, max: 50, safe: 60",
            "outputs[0].safe: lies outside `min` and `max` (0 to 50 %)",
        ),
        (
            "id: x, driver: digital-output, pin: 4, link_lost: 5m",
            "outputs[0].link_lost: no command reaches this output over the link; add x to the `allow` of a topic under \
             `commands`, or leave this out",
        ),
        (
            "id: x, driver: digital-input, pin: 4",
            "outputs[0].driver: unknown driver \"digital-input\"; did you mean \"digital-output\"?",
        ),
    ];
    let mut table = Table::default();
    for (keys, expected) in cases {
        table.row(&format!("outputs: [{{{keys}}}]\n{SENSOR}"), &format!("line 1: {expected}"));
    }
    table.end();
    expect(&[
        (
            "outputs:\n  - {id: x, driver: digital-output, pin: 4}\n  - {id: y, driver: digital-output, pin: 4}",
            "line 3: outputs[1].pin: pin 4 is taken by output \"x\"; each sensor or output has its own pin",
        ),
        (
            "outputs:\n  - {id: x, driver: pca9685, bus: sim-1, channel: 1}\n  - {id: y, driver: pca9685, bus: sim-1, channel: 2, frequency: 50}",
            "line 3: outputs[1].frequency: output x has 200 Hz on the same chip, which has one for all",
        ),
        (
            "sensors: [{id: a, driver: bme280, bus: sim-1, address: 0x77}]\noutputs:\n  - {id: x, driver: pca9685, bus: sim-1, address: 0x77, channel: 1}",
            "line 3: outputs[0].channel: address 0x77 on sim-1 is taken by sensor \"a\"; each device on a bus has its own address",
        ),
    ]);
}
