/*
 * clgrad: train and run neural networks on any OpenCL device. Everything, bottom-up.
 */
#ifndef CLGRAD_H
#define CLGRAD_H

/* clang-format off: the order is the order of the layers */
#include "clgrad/activations.h"
#include "clgrad/augment.h"
#include "clgrad/autodiff.h"
#include "clgrad/base.h"
#include "clgrad/bench.h"
#include "clgrad/checkpoint.h"
#include "clgrad/data.h"
#include "clgrad/device.h"
#include "clgrad/gradcheck.h"
#include "clgrad/losses.h"
#include "clgrad/nn.h"
#include "clgrad/ops.h"
#include "clgrad/optimizer.h"
#include "clgrad/program.h"
#include "clgrad/schedule.h"
#include "clgrad/sequence.h"
#include "clgrad/tensor.h"
#include "clgrad/tuning.h"
/* clang-format on */

#endif
