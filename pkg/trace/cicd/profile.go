// Copyright The Auriga Authors.
// SPDX-License-Identifier: Apache-2.0

package cicd

import (
	"math"
	"time"
)

// Profile is how the rate of arrivals goes with the clock: the product of a
// factor for the hour of the day and one for the day of the week. Each set of
// factors has mean 1, so that the mean rate over a week is 1.
type Profile struct {
	// Hour is indexed by the hour, 0..23, of the file's clock.
	Hour [24]float64 `json:"hour"`
	// Day is indexed by time.Weekday: 0 is Sunday.
	Day [7]float64 `json:"day"`
}

const (
	hoursInWeek    = 24 * 7
	secondsInHour  = 3600.0
	profileFreedom = 23 + 6 // the means are fixed
)

// fitProfile counts the times by hour and by day. Each count is raised by one
// (Laplace), or an hour in which nothing was seen would be impossible.
func fitProfile(times []time.Time) Profile {
	var p Profile
	for _, t := range times {
		p.Hour[t.Hour()]++
		p.Day[t.Weekday()]++
	}
	n := float64(len(times))
	for h := range p.Hour {
		p.Hour[h] = (p.Hour[h] + 1) / (n + 24) * 24
	}
	for d := range p.Day {
		p.Day[d] = (p.Day[d] + 1) / (n + 7) * 7
	}
	return p
}

// rate is the relative rate in the given hour of the week, 0 = Sunday 0:00.
func (p Profile) rate(hour int) float64 { return p.Day[hour/24] * p.Hour[hour%24] }

// weekHour is t's place in the week, in hours since Sunday 0:00.
func weekHour(t time.Time) float64 {
	return float64(int(t.Weekday())*24+t.Hour()) + float64(t.Minute())/60 +
		(float64(t.Second())+float64(t.Nanosecond())/1e9)/secondsInHour
}

// operational is the operational time in seconds from the start of the week to
// the given hour of the week (may be more than one week): the integral of the
// rate. A process that follows the profile is stationary in operational time.
func (p Profile) operational(hours float64) float64 {
	weeks, rest := math.Floor(hours/hoursInWeek), math.Mod(hours, hoursInWeek)
	sum := weeks * hoursInWeek // the mean rate is 1
	whole := int(rest)
	for h := range whole {
		sum += p.rate(h)
	}
	if whole < hoursInWeek {
		sum += p.rate(whole) * (rest - float64(whole))
	}
	return sum * secondsInHour
}

// clock is the inverse of operational counted from a start: hours after start
// (an hour of the week) at which the given operational seconds have gone by.
func (p Profile) clock(start, seconds float64) float64 {
	left := seconds / secondsInHour
	weeks := math.Floor(left / hoursInWeek)
	left -= weeks * hoursInWeek
	at := math.Mod(start, hoursInWeek)
	passed := weeks * hoursInWeek
	for {
		hour := math.Floor(at)
		rest := hour + 1 - at
		rate := p.rate(int(hour) % hoursInWeek)
		if left <= rate*rest {
			return passed + left/rate
		}
		left -= rate * rest
		passed += rest
		at = math.Mod(hour+1, hoursInWeek)
	}
}
