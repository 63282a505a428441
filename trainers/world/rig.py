"""The skeleton: bones, skin weights of a mesh, joint angles of a gait, and where that puts every bone."""

import math
from dataclasses import dataclass

import numpy as np

from trainers.world.compiled import F32, F64, I32, compiled, inlined
from trainers.world.looks import Look
from trainers.world.sdf import (
    BONE,
    CARVES,
    SKIRT_BONE,
    TORSO_BONE,
    choose_near,
    distance_to_near,
    distances_to_all,
)

PELVIS, CHEST, HEAD, THIGH_R, SHIN_R, FOOT_R, THIGH_L, SHIN_L, FOOT_L = range(9)
UPPER_ARM_R, FOREARM_R, UPPER_ARM_L, FOREARM_L, HELD, TOWED = range(9, 15)
BONES = 15
PARENTS = (-1, 0, 1, 0, 3, 4, 0, 6, 7, 1, 9, 1, 11, -1, -1)
RIGHT = (1, 0.0, THIGH_R, SHIN_R, FOOT_R, UPPER_ARM_R, FOREARM_R)
LEFT = (-1, 0.5, THIGH_L, SHIN_L, FOOT_L, UPPER_ARM_L, FOREARM_L)
SIDES = (RIGHT, LEFT)

TOUCHING, SHADING = 0.09, 0.27  # metres within which a primitive shapes a vertex, and darkens it
NO_PULL = 0.2  # metres beyond which a bone pulls nothing

ACTS = ("walk", "phone", "pockets")


@dataclass(slots=True)
class Pose:
    """Where a person stands and how: metres, radians (0 = facing +y), gait phase in [0, 1), seconds."""

    x: float
    y: float
    heading: float
    phase: float = 0.0
    amplitude: float = 0.0
    act: str = "walk"
    t: float = 0.0


@compiled
def skin_weights(
    prims: F64, tables: F64, vertices: F32, waist: float, hip: float, fixed_bone: int
) -> tuple[F32, F32, I32, F32]:
    """Normals, ambient occlusion and the four heaviest bones of every vertex; weights sum to 1."""
    n = vertices.shape[0]
    normals, occlusion = np.empty((n, 3), np.float32), np.empty(n, np.float32)
    bones, weights = np.zeros((n, 4), np.int32), np.zeros((n, 4), np.float32)
    near, around = np.empty(prims.shape[0], np.int32), np.empty(prims.shape[0], np.int32)
    own, by_bone, normal = np.empty(prims.shape[0]), np.zeros(BONES), np.zeros(3)
    for i in range(n):
        x, y, z = float(vertices[i, 0]), float(vertices[i, 1]), float(vertices[i, 2])
        nearest = distances_to_all(prims, tables, x, y, z, own)
        count = choose_near(prims, own, nearest, TOUCHING, near)
        _normal(prims, near, count, tables, x, y, z, normal)
        normals[i, 0], normals[i, 1], normals[i, 2] = normal[0], normal[1], normal[2]
        count = choose_near(prims, own, nearest, SHADING, around)
        occlusion[i] = _openness(prims, around, count, tables, x, y, z, normal)
        if fixed_bone >= 0:
            bones[i, 0], weights[i, 0] = fixed_bone, 1.0
        else:
            _pull_of_bones(prims, own, nearest, x, z, waist, hip, by_bone)
            _heaviest(by_bone, bones[i], weights[i])
    return normals, occlusion, bones, weights


@inlined
def _normal(prims: F64, near: I32, count: int, tables: F64, x: float, y: float, z: float, out: F64) -> None:
    """Unit normal of the surface, from the distances at the corners of a small tetrahedron."""
    e = 0.005
    a = distance_to_near(prims, near, count, tables, x + e, y - e, z - e)
    b = distance_to_near(prims, near, count, tables, x - e, y - e, z + e)
    c = distance_to_near(prims, near, count, tables, x - e, y + e, z - e)
    d = distance_to_near(prims, near, count, tables, x + e, y + e, z + e)
    nx, ny, nz = a - b - c + d, -a - b + c + d, -a + b - c + d
    inverse = 1 / (math.sqrt(nx * nx + ny * ny + nz * nz) + 1e-9)
    out[0], out[1], out[2] = nx * inverse, ny * inverse, nz * inverse


@inlined
def _openness(
    prims: F64, near: I32, count: int, tables: F64, x: float, y: float, z: float, normal: F64
) -> float:
    """How open a place on the surface is, in [0.25, 1]."""
    closed = 0.0
    for s in (0.02, 0.05, 0.11):
        out = distance_to_near(
            prims, near, count, tables, x + normal[0] * s, y + normal[1] * s, z + normal[2] * s
        )
        closed += max(0.0, 1 - max(0.0, out) / s)
    return max(0.25, 1 - 0.42 * closed)


@compiled
def _pull_of_bones(
    prims: F64, own: F64, nearest: float, x: float, z: float, waist: float, hip: float, by_bone: F64
) -> None:
    by_bone[:] = 0.0
    for k in range(prims.shape[0]):
        if prims[k, CARVES] != 0 or own[k] > nearest + NO_PULL:
            continue
        pull = math.exp(-(own[k] - nearest) / 0.018)
        bone = int(prims[k, BONE])
        if bone == TORSO_BONE:
            chest = min(1.0, max(0.0, (z - waist + 0.07) / 0.16))
            by_bone[CHEST] += pull * chest
            by_bone[PELVIS] += pull * (1 - chest)
        elif bone == SKIRT_BONE:
            legs = 0.8 * min(1.0, max(0.0, (hip - z) / 0.30))
            right = 1 / (1 + math.exp(-x / 0.05))
            by_bone[PELVIS] += pull * (1 - legs)
            by_bone[THIGH_R] += pull * legs * right
            by_bone[THIGH_L] += pull * legs * (1 - right)
        else:
            by_bone[bone] += pull


@compiled
def _heaviest(by_bone: F64, bones: I32, weights: F32) -> None:
    """The four heaviest, those below 2 % dropped, then made to sum to 1: positions are absolute."""
    total = 0.0
    for m in range(4):
        bone = int(np.argmax(by_bone))
        bones[m], weights[m] = bone, by_bone[bone]
        total += by_bone[bone]
        by_bone[bone] = 0.0
    kept = np.float32(0)
    for m in range(4):
        if weights[m] < 0.02 * total:
            weights[m] = 0.0
        kept += weights[m]
    for m in range(4):
        weights[m] /= kept


def joint_angles(look: Look, arm_angle: float, pose: Pose) -> F64:
    """Rotations (BONES, 3) about x, y, z in radians, for a phase of the gait and what the person does."""
    angles, arm_deg = np.zeros((BONES, 3)), math.degrees(arm_angle)
    gait, outfit, turn = look.body.gait, look.outfit, 2 * math.pi * pose.phase
    if outfit.prop == "wheelchair":
        _sit(angles, arm_deg)
    else:
        _walk(angles, look, arm_deg, pose)
        _act(angles, arm_deg, pose.act)
        _carry(angles, arm_deg, look)
    amplitude = 0.0 if outfit.prop == "wheelchair" else pose.amplitude
    sway, lean = amplitude * math.cos(turn + 1.2), gait.lean_deg * (0.5 + 0.5 * amplitude)
    turned = amplitude * math.cos(turn)
    angles[PELVIS] = 0, 2.5 * sway, 5 * turned
    angles[CHEST] = -lean, -2 * sway, -10 * turned + 1.5 * math.sin(pose.t * 0.7)
    look_about = 12 * math.sin(pose.t * 0.43 + look.body.seed % 7)
    angles[HEAD] += (gait.lean_deg * 0.4 - 2, 0, 5 * turned + look_about)
    return np.radians(angles)


def _bump(phase: float, middle: float, width: float) -> float:
    return math.exp(-(((((phase - middle + 0.5) % 1) - 0.5) / width) ** 2))


def _walk(angles: F64, look: Look, arm_deg: float, pose: Pose) -> None:
    gait, amp = look.body.gait, pose.amplitude
    hang = 9 + {"slim": 0.0, "average": 1.5, "heavy": 5.0}[look.body.shape]
    hang += 5 if look.outfit.upper in ("puffer", "coat") else 0
    for side, shift, thigh, shin, foot, upper_arm, forearm in SIDES:
        phase = (pose.phase + shift) % 1
        turn = 2 * math.pi * phase
        hip = amp * gait.stride * (21 * math.cos(turn) + 3 * math.cos(2 * turn)) + 6 * amp
        knee = 5 + amp * (13 * _bump(phase, 0.13, 0.08) + 54 * _bump(phase, 0.72, 0.115))
        ankle = 7 * _bump(phase, 0.42, 0.14) - 17 * _bump(phase, 0.63, 0.07) - 5 * _bump(phase, 0.06, 0.05)
        angles[thigh] = hip, 0, -side * gait.toe_deg
        angles[shin, 0] = -knee
        angles[foot, 0] = amp * ankle
        swing = 2 - amp * gait.swing * 20 * math.cos(turn)
        angles[upper_arm] = swing, side * (arm_deg - hang), 0
        angles[forearm, 0] = 14 + amp * gait.swing * (8 - 9 * math.cos(turn))


def _sit(angles: F64, arm_deg: float) -> None:
    for side, _, thigh, shin, foot, upper_arm, forearm in SIDES:
        angles[thigh] = 82, 0, -side * 4
        angles[shin, 0] = -76
        angles[foot, 0] = -4
        angles[upper_arm] = 4, side * (arm_deg - 16), 0
        angles[forearm] = 70, 0, side * 14


def _act(angles: F64, arm_deg: float, act: str) -> None:
    if act == "phone":
        angles[UPPER_ARM_R] = 22, arm_deg - 6, 8
        angles[FOREARM_R] = 95, 0, 25
        angles[HEAD, 0] = -22
    elif act == "pockets":
        for side, _, _, _, _, upper_arm, forearm in SIDES:
            angles[upper_arm] = -16, side * (arm_deg - 20), 0
            angles[forearm] = 38, 0, side * 22


def _carry(angles: F64, arm_deg: float, look: Look) -> None:
    bag, prop = look.outfit.bag, look.outfit.prop
    if bag in ("handbag", "shopping"):
        angles[UPPER_ARM_R, 0] *= 0.35
        angles[FOREARM_R, 0] = 20 if bag == "handbag" else angles[FOREARM_R, 0] * 0.5
    elif bag == "suitcase":
        angles[UPPER_ARM_R] = -24, arm_deg - 14, 0
        angles[FOREARM_R] = 4, 0, 0
    if prop == "pushchair":
        for side, _, _, _, _, upper_arm, forearm in SIDES:
            angles[upper_arm] = 34, side * (arm_deg - 12), 0
            angles[forearm] = 42, 0, side * 4
    elif prop == "umbrella":
        angles[UPPER_ARM_R] = 28, arm_deg - 12, 0
        angles[FOREARM_R] = 72, 0, 10


@compiled
def place_bones(
    pivots: F64, angles: F64, feet: F64, hand: F64, at: tuple[float, float, float], seat: float
) -> F32:
    """World transform (BONES, 3, 4) of every bone from its rest pose.

    Args:
        pivots: Joint of each bone at rest, (BONES, 3).
        angles: `joint_angles`.
        feet: Heel and toe of the right, then of the left foot at rest, (4, 3); the lowest is put on the ground.
        hand: The right hand at rest; what is held hangs from it upright.
        at: Place x, y, and heading.
        seat: Metres that the lowest sole is held above the ground (a footrest).
    """
    bones = np.zeros((BONES, 3, 4))
    for bone in range(HELD):
        _turn(bones, bone, PARENTS[bone], angles, pivots)
    for row in range(3):
        bones[HELD, row, row] = bones[TOWED, row, row] = 1.0
        bones[HELD, row, 3] = _moved(bones, FOREARM_R, row, hand) - hand[row]
    sole = 1e9
    for i in range(4):
        sole = min(sole, _moved(bones, FOOT_R if i < 2 else FOOT_L, 2, feet[i]))
    c, s = math.cos(at[2]), math.sin(at[2])
    out = np.empty((BONES, 3, 4), np.float32)
    for bone in range(BONES):
        for column in range(4):
            x, y = bones[bone, 0, column], bones[bone, 1, column]
            out[bone, 0, column], out[bone, 1, column] = c * x - s * y, s * x + c * y
            out[bone, 2, column] = bones[bone, 2, column]
        out[bone, 0, 3] += at[0]
        out[bone, 1, 3] += at[1]
        out[bone, 2, 3] -= sole - seat if bone <= HELD else 0.0
    return out


@inlined
def _moved(bones: F64, bone: int, row: int, point: F64) -> float:
    """One coordinate of a point that moves with a bone."""
    turned = bones[bone, row, 0] * point[0] + bones[bone, row, 1] * point[1] + bones[bone, row, 2] * point[2]
    return float(turned + bones[bone, row, 3])


@inlined
def _turn(bones: F64, bone: int, parent: int, angles: F64, pivots: F64) -> None:
    """The transform of a bone from its parent's: R = Rz Rx Ry about its joint."""
    cx, cy, cz = math.cos(angles[bone, 0]), math.cos(angles[bone, 1]), math.cos(angles[bone, 2])
    sx, sy, sz = math.sin(angles[bone, 0]), math.sin(angles[bone, 1]), math.sin(angles[bone, 2])
    turn = (
        (cz * cy - sz * sx * sy, -sz * cx, cz * sy + sz * sx * cy),
        (sz * cy + cz * sx * sy, cz * cx, sz * sy - cz * sx * cy),
        (-cx * sy, sx, cx * cy),
    )
    x, y, z = pivots[bone, 0], pivots[bone, 1], pivots[bone, 2]
    for row in range(3):
        for column in range(4):
            moved = 0.0
            for k in range(3):
                r = turn[k]
                own = r[column] if column < 3 else pivots[bone, k] - (r[0] * x + r[1] * y + r[2] * z)
                of_parent = bones[parent, row, k] if parent >= 0 else (1.0 if row == k else 0.0)
                moved += of_parent * own
            if column == 3 and parent >= 0:
                moved += bones[parent, row, 3]
            bones[bone, row, column] = moved
