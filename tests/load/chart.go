package load

import (
	"fmt"
	"math"
	"strings"
)

// The chart: both axes are logarithmic, so that what grows with the number is a
// line of slope one and what grows with its square one of slope two.
const (
	chartWidth, chartHeight           = 720, 440
	chartLeft, chartRight             = 90, 690
	chartTop, chartBottom             = 50, 380
	leastChildren, mostChildren       = 20.0, 100_000.0
	leastStanzas, mostStanzas         = 1e3, 1e11
	ofRoster, ofComponent, ofFrame    = "#c0392b", "#1f7a4d", "#888888"
	tableOfStanzas, tableOfSchoolSize = "stanzas from the server to all children", "children who come on-line"
)

func chartX(children float64) float64 {
	return chartLeft + (chartRight-chartLeft)*math.Log10(children/leastChildren)/math.Log10(mostChildren/leastChildren)
}

func chartY(stanzas float64) float64 {
	return chartBottom - (chartBottom-chartTop)*math.Log10(stanzas/leastStanzas)/math.Log10(mostStanzas/leastStanzas)
}

// chart draws the stanzas over the children: dots are measured, dashes are not.
func (all Figures) chart() string {
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12" role="img">`+"\n", chartWidth, chartHeight)
	fmt.Fprintf(&b, `<title>Stanzas from the server, by the number of children</title><rect width="%d" height="%d" fill="white"/>`+"\n", chartWidth, chartHeight)
	for e := 3; e <= 11; e++ {
		y := chartY(math.Pow10(e))
		fmt.Fprintf(&b, `<path d="M%d %.1fH%d" stroke="#dddddd"/><text x="%d" y="%.1f" text-anchor="end">10<tspan dy="-4" font-size="9">%d</tspan></text>`+"\n",
			chartLeft, y, chartRight, chartLeft-8, y+4, e)
	}
	for _, n := range []int{50, 100, 250, 500, 3_000, 10_000, 50_000} {
		x := chartX(float64(n))
		fmt.Fprintf(&b, `<path d="M%.1f %dV%d" stroke="#eeeeee"/><text x="%.1f" y="%d" text-anchor="middle">%s</text>`+"\n",
			x, chartTop, chartBottom, x, chartBottom+18, thousands(int64(n)))
	}
	fmt.Fprintf(&b, `<path d="M%d %dV%dH%d" fill="none" stroke="%s"/>`+"\n", chartLeft, chartTop, chartBottom, chartRight, ofFrame)
	fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="middle">%s</text>`+"\n", (chartLeft+chartRight)/2, chartBottom+44, tableOfSchoolSize)
	fmt.Fprintf(&b, `<text x="%d" y="%d">%s</text>`+"\n", chartLeft, chartTop-22, tableOfStanzas)
	all.line(&b, false, ofRoster)
	all.line(&b, true, ofComponent)
	b.WriteString("</svg>\n")
	return b.String()
}

// line draws the figures of one kind, and on to the biggest school.
func (all Figures) line(b *strings.Builder, component bool, color string) {
	kind := all.of(component)
	if len(kind) == 0 {
		return
	}
	point := func(f Figure) string {
		return fmt.Sprintf("%.1f %.1f", chartX(float64(f.Children)), chartY(float64(f.Stanzas)))
	}
	path := "M" + point(kind[0])
	for _, f := range kind[1:] {
		path += "L" + point(f)
	}
	far := "M" + point(kind[len(kind)-1])
	var last Figure
	for _, n := range extrapolated {
		last, _ = all.guess(n, component)
		far += "L" + point(last)
	}
	fmt.Fprintf(b, `<path d="%s" fill="none" stroke="%s" stroke-width="2"/><path d="%s" fill="none" stroke="%s" stroke-width="2" stroke-dasharray="5 5"/>`+"\n",
		path, color, far, color)
	for _, f := range kind {
		fmt.Fprintf(b, `<circle cx="%.1f" cy="%.1f" r="4" fill="%s"><title>%d children, %s: %s stanzas</title></circle>`+"\n",
			chartX(float64(f.Children)), chartY(float64(f.Stanzas)), color, f.Children, kindOf(f), thousands(f.Stanzas))
	}
	fmt.Fprintf(b, `<text x="%.1f" y="%.1f" text-anchor="end" fill="%s">%s</text>`+"\n",
		chartX(float64(last.Children))-8, chartY(float64(last.Stanzas))-8, color, kindOf(kind[0]))
}
