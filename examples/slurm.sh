#!/bin/bash
# Restore a folder with an array of SLURM jobs, each of which does its part:
#
#     clearair restore photos/ -o restored/ --journal run.db --list-only
#     sbatch --array=1-16 examples/slurm.sh run.db
#     clearair batch status run.db
#
# A job that was ended is submitted again with the same command; nothing is done twice.
#SBATCH --job-name=clearair
#SBATCH --cpus-per-task=4
#SBATCH --mem=4G
#SBATCH --requeue
set -eu
exec clearair batch resume "$1" --shard "$SLURM_ARRAY_TASK_ID/${SLURM_ARRAY_TASK_COUNT:-$SLURM_ARRAY_TASK_MAX}" --quiet
