package sugar

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// step is a part of the story that can be chosen by its name.
type step struct {
	name   string
	needed bool // the others make no sense without it
	checks func(*Stage) []check
}

// check is one thing that the children do, or that must be so.
type check struct {
	what string
	do   func(context.Context) error
}

// steps is the story in its order. A step finds no activity open and need not close what it opens.
var steps = []step{
	{"neighborhood", true, (*Stage).neighborhood},
	{"chat", false, (*Stage).chat},
	{"invite", false, (*Stage).invite},
	{"journalft", false, (*Stage).journalft},
	{"memorize", false, (*Stage).memorize},
	{"pippy", false, (*Stage).pippy},
	{"calculate", false, (*Stage).calculate},
	{"read", false, (*Stage).read},
	{"write", false, (*Stage).write},
	{"profile", false, (*Stage).profile},
	{"return", false, (*Stage).comeBack},
}

// CheckSteps tells which names are none of a step.
func CheckSteps(names []string) error {
	var known []string
	for _, s := range steps {
		known = append(known, s.name)
	}
	for _, name := range names {
		if !slices.Contains(known, name) {
			return fmt.Errorf("no step %q; there are %s", name, strings.Join(known, ", "))
		}
	}
	return nil
}

// chosen are the steps to play: those that the others need, and those that are wanted.
func chosen(wanted []string) []step {
	var found []step
	for _, s := range steps {
		if s.needed || len(wanted) == 0 || slices.Contains(wanted, s.name) {
			found = append(found, s)
		}
	}
	return found
}
