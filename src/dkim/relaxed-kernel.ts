import {createPlainKernel, type RelaxedKernel} from './body-kernel.ts';
import {createSimdKernel} from './simd-kernel.ts';

/**
 * The kernel that all hashers of this process share: SIMD where there is any. Its memory is a scratch pad within one
 * synchronous call, so nothing is carried from one message to another.
 */
export const relaxedKernel: RelaxedKernel = createSimdKernel() ?? createPlainKernel();
