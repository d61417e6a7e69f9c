"""The blurs whose outputs in the official code were recorded."""

from colddiff_jax import gaussian_blur, schedules

BLURS = {
    "Constant/T20_std7.0_k11_r32": gaussian_blur(
        32, schedules.constant(20, value=7.0), kernel_size=11
    ),
    "Special_6_routine/T50_std0.1_k3_r32": gaussian_blur(
        32,
        schedules.linear(50, start=0.35, increment=0.01),
        kernel_size=11,
        padding="reflect",
    ),
    "Exponential_reflect/T200_std0.01_k15_r64": gaussian_blur(
        64, schedules.exponential(200, rate=0.01), kernel_size=15, padding="reflect"
    ),
    "Exponential/T300_std0.01_k27_r64": gaussian_blur(
        64, schedules.exponential(300, rate=0.01), kernel_size=27, to_mean=True
    ),
}
